# SPDX-License-Identifier: Apache-2.0
"""Python environments of tools whose dependencies clash with ours, made when first needed and kept in the cache folder.

Such an environment holds only what the tool needs in another version than we do, or beyond it; everything else it
imports from the environment that made it. So it takes seconds and some ten MB, not minutes and another PyTorch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liver_seg_ros.atomic import scratch_folder
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.runtimes.cache_folder import cache_folder

_log = logging.getLogger(__name__)

#: Seconds that pip may take; it downloads some 50 MB at most.
_TIME_LIMIT = 600


@dataclass(frozen=True)
class Tool:
    """A tool and the packages that its environment gets, exactly these versions and nothing that they ask for."""

    name: str
    packages: tuple[str, ...]


#: Its onnx and onnxruntime are the ones that it was released with; torch comes from the extra [deploy].
MODELOPT = Tool(
    "modelopt",
    (
        "nvidia-modelopt==0.47.0",
        "lief==1.0.0",
        "nvidia-ml-py==13.615.71",
        "onnx==1.21.0",
        "onnx_graphsurgeon==0.6.1",
        'onnxruntime==1.24.4; python_version >= "3.11"',
        'onnxruntime==1.22.1; python_version < "3.11"',
        "onnxslim==0.1.98",
        "polygraphy==0.53.6",
        "tqdm==4.70.1",
    ),
)
NNCF = Tool("nncf", ("nncf==3.4.0", "psutil==7.2.2", "safetensors==0.8.0", "tabulate==0.10.0"))
#: nnU-Net itself, as the peer of imported models in tests and benchmarks: what its trainer and its predictor import and
#: we do not have.
NNUNET = Tool(
    "nnunet",
    (
        "nnunetv2==2.8.1",
        "dynamic_network_architectures==0.4.4",
        "acvl_utils==0.2.6",
        "batchgenerators==0.25.5",
        "batchgeneratorsv2==0.3.6",
        "blosc2==3.3.2",
        "einops==0.8.2",
        "joblib==1.6.0",
        "msgpack==1.2.4",
        "ndindex==1.10.1",
        "numexpr==2.14.2",
        "pandas==3.1.1",
        "py-cpuinfo==9.0.0",
        "scikit-learn==1.9.1",
        "seaborn==0.13.2",
        "tqdm==4.70.1",
    ),
)


def tool_python(tool: Tool, folder: Path | None = None) -> Path:
    """The Python of the tool's environment, which is made where it is missing.

    Args:
        tool: what to install.
        folder: where environments are kept; `tools` in the cache folder if not given.

    Raises:
        InputError: it could not be made, most likely because there is no network.
    """
    # What it holds and what it builds on: an environment of other versions is another one.
    digest = hashlib.sha256("\n".join((sys.prefix, sys.version, *tool.packages)).encode()).hexdigest()[:8]
    environment = (folder or cache_folder() / "tools") / f"{tool.name}-{digest}"
    python = Path("bin/python")
    if not (environment / python).exists():
        _log.info("making the environment of %s in %s, once", tool.name, environment)
        try:
            environment.parent.mkdir(parents=True, exist_ok=True)
            with scratch_folder(environment.parent) as beside:
                made = beside / "environment"
                has_pip = importlib.util.find_spec("pip") is not None  # a pip of its own would take seconds to unpack
                venv.create(made, with_pip=not has_pip)
                inside = sysconfig.get_path("purelib", vars={"base": str(made), "platbase": str(made)})
                _run_pip(Path(sys.executable) if has_pip else made / python, inside, tool.packages)
                (Path(inside) / "beside.pth").write_text("\n".join(_package_folders()) + "\n", encoding="utf-8")
                if not environment.exists():  # another process may have been faster
                    made.rename(environment)
        except (OSError, subprocess.SubprocessError) as error:
            raise InputError(
                f"cannot make the environment of {tool.name} in {environment} (needed once, with a network): "
                f"{_reason(error)}"
            ) from error
    return environment / python


def run_tool(tool: Tool, script: Path, arguments: Sequence[str], folder: Path | None = None) -> None:
    """Run a Python script in the tool's environment.

    Raises:
        InputError: the environment could not be made, or the script failed; its last line says why.
    """
    command = [str(tool_python(tool, folder)), str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{tool.name} failed: {_last_line(done.stderr)}")


def _package_folders() -> list[str]:
    """Where the running environment has its packages."""
    return [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]


def _run_pip(python: Path, target: str, packages: Sequence[str]) -> None:
    """Install into this folder, whatever is installed elsewhere; what is imported is compiled then, and no more."""
    options = ["--quiet", "--no-deps", "--no-compile", "--target", target]
    command = [str(python), "-m", "pip", "install", *options, *packages]
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIME_LIMIT)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in (error.stderr or "").splitlines() if line.startswith("ERROR")]
        return _last_line("\n".join(lines) or error.stderr or str(error))
    if isinstance(error, subprocess.TimeoutExpired):
        return f"pip took more than {_TIME_LIMIT} s"
    return str(error)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it does not say why"
