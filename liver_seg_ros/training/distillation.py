# SPDX-License-Identifier: Apache-2.0
"""Distillation: a small network learns from a trained one what the labels alone do not say.

Paper 1, section III-E: "we refer to the method in [41] to distill the knowledge of the Transformer module"; neither its
equations nor its student are told. Here three terms, each switched on by its weight:

- logits (Hinton et al. 2015, arXiv:1503.02531, section 2), with t and s the softmax of logits over T:
      T^2 / V sum_v sum_c t_cv log(t_cv / s_cv)
- features (Zagoruyko & Komodakis 2017, arXiv:1612.03928, equation 2), with Q the sum of a map's squared channels,
  brought to the coarser of both grids and to length 1:
      sum_v (Q_s,v - Q_t,v)^2
- attention (Wang et al. 2020, MiniLM, arXiv:2002.10957, equation 5): the teacher's A, the softmax of its last
  transformer layer, here the mean of its heads. A student of convolutions has none, so that its map F stands in, on the
  tokens' grid:
      1/N sum_i sum_j A_ij log(A_ij / R_ij),    R = softmax(F F^T / sqrt(C))

A teacher of slices teaches a student of volumes slice by slice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d, kl_div, log_softmax, normalize, softmax

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.canny import canny_map
from liver_seg_ros.networks.resnet_transformer import TransformerLayer


class Distillation:
    """What a student has still to learn from its teacher, beside the loss of the labels.

    Keeps the maps of the student's last forward pass by hooks: call it once after each.

    Args:
        teacher: trained; is put into evaluation mode and gets no gradient. Of volumes or of slices; one that takes
            edges too (`takes_edges`) is given the Canny maps of the slices that the student saw.
        student: of volumes or of slices; not of slices where the teacher is of volumes.
        logits: weight of the logits' term.
        features: weight of the features' term.
        attention: weight of the attention's term; needs a teacher with transformer layers.
        temperature: T.
        teacher_map: path of the teacher's module whose input the features' term compares.
        student_map: the same of the student.
        attending_map: path of the student's module whose output is F.

    Raises:
        InputError: a weight below 0, a temperature that is not positive, a module that there is not, or attention of a
            teacher that has none.
    """

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        *,
        logits: float = 1.0,
        features: float = 0.0,
        attention: float = 0.0,
        temperature: float = 2.0,
        teacher_map: str = "head",
        student_map: str = "head",
        attending_map: str = "",
    ) -> None:
        if min(logits, features, attention) < 0 or not temperature > 0:
            raise InputError(
                "weights must be from 0 upward and the temperature positive: "
                f"{logits, features, attention, temperature}"
            )
        self._teacher = teacher.eval().requires_grad_(False)
        self._weights, self._temperature = (logits, features, attention), temperature
        self._seen: dict[str, Tensor] = {}
        if features:
            _module(teacher, teacher_map, "teacher").register_forward_pre_hook(self._keep_input("teacher"))
            _module(student, student_map, "student").register_forward_pre_hook(self._keep_input("student"))
        if attention:
            layers = [module for module in teacher.modules() if isinstance(module, TransformerLayer)]
            if not layers:
                raise InputError("the teacher has no transformer layers, so that it has no attention to distil")
            layers[-1].query_key_value.register_forward_hook(self._keep_attention(layers[-1]))
            _module(student, attending_map, "student").register_forward_hook(self._keep_output("attending"))

    def __call__(self, images: Tensor, logits: Tensor) -> Tensor:
        """A scalar to minimize.

        Args:
            images: what the student saw, `(B, C, D, H, W)` or `(B, C, H, W)`.
            logits: its answer, `(B, classes, *size)`.

        Raises:
            InputError: a teacher of other classes, or whose answer has another size.
        """
        depth = images.shape[2] if images.ndim == 5 else 1
        taught = self._teach(images)
        if taught.shape != logits.shape:
            raise InputError(
                f"the teacher's logits {tuple(taught.shape)} do not fit the student's {tuple(logits.shape)}: "
                "both need the same classes"
            )
        weights, total = self._weights, logits.new_zeros((), dtype=torch.float32)
        if weights[0]:
            total = total + weights[0] * logits_term(logits, taught, self._temperature)
        if weights[1]:
            student, teacher = self._seen.pop("student"), self._seen.pop("teacher")
            if teacher.ndim < student.ndim:
                teacher = _as_volume(teacher, depth)
            total = total + weights[1] * features_term(student, teacher)
        if weights[2]:
            attention, attending = self._seen.pop("attention"), self._seen.pop("attending")
            height, width = images.shape[-2:]
            total = total + weights[2] * attention_term(attending, attention, (height, width), depth)
        return total

    def to(self, device: torch.device) -> None:
        """Move the teacher to where the student is trained."""
        self._teacher.to(device)

    @torch.no_grad()
    def _teach(self, images: Tensor) -> Tensor:
        """The teacher's logits; slice by slice where it takes slices."""
        weight = next(p for p in self._teacher.parameters() if p.ndim >= 4)
        by_slices = images.ndim != weight.ndim
        shown = images.transpose(1, 2).flatten(0, 1) if by_slices else images
        given = [shown]
        if getattr(self._teacher, "takes_edges", False):
            middle = shown.shape[1] // 2  # of a slice between its neighbors
            edges = canny_map(shown[:, middle : middle + 1].float().cpu().numpy())
            given.append(torch.from_numpy(edges).to(shown))
        logits: Tensor = self._teacher(*given)
        return _as_volume(logits, images.shape[2]) if by_slices else logits

    def _keep_input(self, name: str) -> Callable[[nn.Module, Any], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._seen[name] = inputs[0]

        return hook

    def _keep_output(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            self._seen[name] = output

        return hook

    def _keep_attention(self, layer: TransformerLayer) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            query, key, _value = output.unflatten(-1, (3, layer.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
            scale = query.shape[-1] ** -0.5 if layer.scale is None else layer.scale
            self._seen["attention"] = softmax(scale * query.float() @ key.float().transpose(2, 3), dim=-1).mean(1)

        return hook


def distillation_of(options: Mapping[str, Any], teacher: nn.Module, student: nn.Module) -> Distillation:
    """As a recipe asks for it. Raises `InputError` where an option is none of `Distillation`'s."""
    chosen = {name: value for name, value in options.items() if name != "teacher"}
    known = [key for key, p in signature(Distillation).parameters.items() if p.kind is Parameter.KEYWORD_ONLY]
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise InputError(f"distillation has no option {', '.join(unknown)}; it has: teacher, {', '.join(known)}")
    try:
        return Distillation(teacher, student, **chosen)
    except TypeError as error:
        raise InputError(f"distillation cannot be set up: {error}") from error


def logits_term(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Of logits `(B, classes, *size)` each."""
    s, t = (log_softmax(z.float() / temperature, dim=1) for z in (student, teacher))
    return temperature**2 * kl_div(s, t, reduction="none", log_target=True).sum(1).mean()


def features_term(student: Tensor, teacher: Tensor) -> Tensor:
    """Of maps `(B, C, *size)` each, of any channels and sizes; the mean over the batch."""
    size = [min(a, b) for a, b in zip(student.shape[2:], teacher.shape[2:], strict=True)]
    q = [
        normalize(_pooled(x.float().square().sum(1, keepdim=True), size).flatten(1), dim=1) for x in (student, teacher)
    ]
    return (q[0] - q[1]).square().sum(1).mean()


def attention_term(student: Tensor, attention: Tensor, size: tuple[int, int], depth: int) -> Tensor:
    """Of a map `(B, C, *size)` and of attention `(B or B D, N, N)` between the tokens of images of (H, W) = `size`."""
    rows = round((attention.shape[1] * size[0] / size[1]) ** 0.5)
    grid = [rows, attention.shape[1] // rows]
    if student.ndim == 5:  # a slice is a batch's entry to the teacher
        student = _pooled(student, [depth, *grid]).transpose(1, 2).flatten(0, 1)
    tokens = _pooled(student.float(), grid).flatten(2).transpose(1, 2)  # (B or B D, N, C)
    relation = log_softmax(tokens @ tokens.transpose(1, 2) / tokens.shape[2] ** 0.5, dim=-1)
    return kl_div(relation, attention, reduction="none").sum(-1).mean()


def _pooled(x: Tensor, size: list[int]) -> Tensor:
    if x.ndim == 5:
        return adaptive_avg_pool3d(x, (size[0], size[1], size[2]))
    return adaptive_avg_pool2d(x, (size[0], size[1]))


def _as_volume(slices: Tensor, depth: int) -> Tensor:
    """`(B D, C, H, W)` to `(B, C, D, H, W)`."""
    return slices.unflatten(0, (-1, depth)).transpose(1, 2)


def _module(network: nn.Module, path: str, who: str) -> nn.Module:
    modules = dict(network.named_modules())
    if not path or path not in modules:
        known = ", ".join(name for name, _ in network.named_children())
        raise InputError(f"the {who} has no module '{path}'; it has {known} and what is in them")
    return modules[path]
