# SPDX-License-Identifier: Apache-2.0
"""What is exported: the network with the preprocessing before it and the postprocessing after it, in one graph.

So a runtime gets HU and gives what the pipeline uses, and no step between the two is written twice or left to the host:
on a GPU the values cross the bus as float16 or uint8 and the clipping costs nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import OUTPUTS

#: Largest difference from PyTorch that is accepted, per output; see `DeployedNetwork.error`.
TOLERANCES = {"logits": 1e-4, "softmax": 1e-3, "argmax": 1e-4}


class DeployedNetwork(nn.Module):
    """`(B, 1, K, J, I)` float32 or float16 to `output`, computing in float32; of slices the same without K.

    Args:
        network: from normalized images to logits.
        hu_window: (low, high); the input is HU, clipped and scaled as `preprocessing.normalize` does. None: the input
            is normalized already.
        output: "logits" `(B, C, K, J, I)` float32, "softmax" the same float16, or "argmax" `(B, K, J, I)` uint8.

    Raises:
        InputError: no such output.
    """

    def __init__(self, network: nn.Module, hu_window: tuple[float, float] | None, output: str = "logits") -> None:
        super().__init__()
        if output not in OUTPUTS:
            raise InputError(f"output '{output}' must be one of {', '.join(OUTPUTS)}")
        self.network = network
        self.hu_window = hu_window
        self.output = output

    def forward(self, image: Tensor, edges: Tensor | None = None) -> Tensor:
        """`edges` only for a network that takes them: 0 and 1, whatever the image holds."""
        logits = self.logits(image) if edges is None else self.logits(image, edges)
        if self.output == "softmax":
            return logits.softmax(dim=1).half()
        if self.output == "argmax":
            return logits.argmax(dim=1).to(torch.uint8)
        return logits

    def logits(self, image: Tensor, *edges: Tensor) -> Tensor:
        """What `output` is made from, `(B, C, K, J, I)` float32."""
        values = image.float()
        if self.hu_window is not None:
            low, high = self.hu_window
            values = (values.clamp(low, high) - (low + high) / 2) * (2 / (high - low))
        logits: Tensor = self.network(values, *(given.float() for given in edges))
        return logits

    def error(self, found: NDArray[np.generic], *images: Tensor) -> float:
        """How wrong another runtime's answer `found` to `images` is, to be held against `TOLERANCES`.

        Logits: the largest difference, over the largest logit. Probabilities: the largest difference. Labels: how far
        the logit of a label that was found lies below the largest of its voxel, over the largest logit of all; so
        another label is no error where two logits are as good as equal.
        """
        with torch.no_grad():
            logits = self.logits(*images)
        largest = float(logits.abs().max())
        if self.output == "softmax":
            return float(np.abs(found - logits.softmax(dim=1).numpy()).max())
        if self.output == "argmax":
            labels = torch.from_numpy(found.astype(np.int64))
            return float((logits.amax(dim=1) - logits.gather(1, labels[:, None])[:, 0]).max()) / largest
        return float(np.abs(found - logits.numpy()).max()) / largest
