# SPDX-License-Identifier: Apache-2.0
"""Real node processes over real DDS, each test on a ROS domain of its own, and an observer in the test's process."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import BundleSpec, InputSpec, Postprocessing
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.volume import Volume

rclpy = pytest.importorskip("rclpy", reason="ROS 2's rclpy is not installed (make setup installs it)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (make test installs it); it makes the test networks")
pytest.importorskip("liver_seg_interfaces.msg", reason="liver_seg_interfaces is not built (make setup builds it)")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402  after the skips
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402

from liver_seg_interfaces.msg import Volume as VolumeMessage  # noqa: E402
from liver_seg_ros.nodes import qos  # noqa: E402
from liver_seg_ros.nodes.messages.assembler import Assembled, Assembler  # noqa: E402
from liver_seg_ros.nodes.messages.volumes import message_to_slab  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
HU_WINDOW = (-200.0, 300.0)
PATIENCE_S = 100.0  # only a test that fails, or a machine that has other things to do, takes so long
BANDS_HU = [(-20.0, 100.0), (100.0, 180.0), (180.0, 260.0)]  # liver, tumor, vessel
#: A service is ready for its client before the service knows the client too, and may lose what comes in between.
MATCHING_S = 0.2
#: After so long without an answer a request is sent once more.
LOST_S = 40.0
_DOMAINS = range(1, 80)  # those above are the demo's; above 101, DDS ports meet those that Linux hands out


class Ros:
    """Starts nodes as processes and observes them."""

    def __init__(self, log_folder: Path, domain: int) -> None:
        self.domain = domain
        self._log_folder = log_folder
        self._processes: list[subprocess.Popen] = []
        self._clients: dict[str, object] = {}
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.node = Node("observer", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.statuses: list[DiagnosticStatus] = []
        self.node.create_subscription(DiagnosticArray, "/diagnostics", lambda m: self.statuses.extend(m.status), 100)

    def start(self, module: str, *arguments: str, autostart: bool = True, **parameters: object) -> subprocess.Popen:
        """`python -m liver_seg_ros.nodes.<module>` with these parameters."""
        parameters = {"autostart": autostart, **parameters}
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")]
        log = self.log_of_next(module).open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", f"liver_seg_ros.nodes.{module}", *arguments, "--ros-args", *words],
            cwd=ROOT,
            env={**os.environ, "ROS_DOMAIN_ID": str(self.domain)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def log_of_next(self, module: str) -> Path:
        """Where the next process that is started writes."""
        return self._log_folder / f"{len(self._processes)}_{module}.log"

    @staticmethod
    def workers(process: subprocess.Popen) -> list[int]:
        """The ids of the processes that this one started."""
        stats = {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                stats[int(file.parent.name)] = file.read_text().rpartition(") ")[2].split()
        return [pid for pid, (state, parent, *_) in stats.items() if int(parent) == process.pid and state != "Z"]

    def log(self, module: str) -> str:
        """What the processes of this module wrote."""
        return "".join(path.read_text() for path in sorted(self._log_folder.glob(f"*_{module}.log")))

    def spin_until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Fail the test where `condition` does not come true in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s} s; diagnostics: {self.lines()[-5:]}"
            self._executor.spin_once(0.05)

    def spin_for(self, duration_s: float) -> None:
        """Take in what comes for a while."""
        self.spin_while(lambda: True, duration_s)

    def spin_while(self, condition: Callable[[], bool], most_s: float) -> None:
        """Take in what comes while `condition` is true, but no longer than so."""
        deadline = time.monotonic() + most_s
        while condition() and time.monotonic() < deadline:
            self._executor.spin_once(0.05)

    def lines(self) -> list[str]:
        """What the nodes said on `/diagnostics`, repetitions left out."""
        said = [f"{status.name} {ord(status.level)} {status.message}" for status in self.statuses]
        return [line for line, _ in itertools.groupby(said)]

    def wait_for_line(self, *parts: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until a node says a line that contains all of `parts`; lines already waited for do not count again."""

        def said() -> bool:
            return any(all(part in line for part in parts) for line in self.lines())

        self.spin_until(said, timeout_s)
        self.statuses.clear()

    def call(self, kind: type, name: str, request: object, timeout_s: float = PATIENCE_S) -> object:
        """The answer of a service."""
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(kind, name)
            self.spin_until(client.service_is_ready)
            self.spin_for(MATCHING_S)
        self.spin_until(client.service_is_ready)
        asked = [client.call_async(request)]
        self.spin_while(lambda: not asked[0].done(), min(LOST_S, timeout_s))
        if not asked[0].done():  # DDS lost a request once in thousands; a node that hangs answers the second neither
            asked.append(client.call_async(request))
        self.spin_until(lambda: any(future.done() for future in asked), timeout_s)
        return next(future.result() for future in asked if future.done())

    def change_state(self, node: str, transition: int) -> bool:
        """Request a lifecycle transition by id; whether it was made."""
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, f"/{node}/change_state", request).success

    def state(self, node: str) -> str:
        """The lifecycle state of a node; fails where it does not answer."""
        return self.call(GetState, f"/{node}/get_state", GetState.Request()).current_state.label

    def publisher(self, topic: str, depth: int = 100):
        """A latched publisher of `Volume`."""
        return self.node.create_publisher(VolumeMessage, topic, qos.latched(depth))

    def latched(self, kind: type, topic: str) -> list:
        """A list that will hold the messages of a latched topic."""
        messages: list = []
        self.node.create_subscription(kind, topic, messages.append, qos.latched(10))
        return messages

    def live(self, kind: type, topic: str) -> list:
        """A list that will hold the messages of a topic that is not latched."""
        messages: list = []
        self.node.create_subscription(kind, topic, messages.append, 100)
        return messages

    def volumes(self, topic: str, dtype: type[np.generic]) -> list[Assembled]:
        """A list that will hold the volumes of a topic."""
        assembler, complete = Assembler(dtype, 10.0, 1 << 30), []

        def on_slab(message: VolumeMessage) -> None:
            volume = assembler.add(message_to_slab(message), time.monotonic())
            if volume is not None:
                complete.append(volume)

        self.node.create_subscription(VolumeMessage, topic, on_slab, qos.latched(1000))
        return complete

    def close(self) -> None:
        """End everything, in the ordinary way where possible: a killed process leaves its shared memory behind."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        self.node.destroy_node()
        self._executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def ros(tmp_path: Path) -> Iterator[Ros]:
    """Nodes and an observer on a domain that no other test uses."""
    with nodes_and_observer(tmp_path) as ros:
        yield ros


@pytest.fixture(scope="session")
def ros_in() -> Callable[[Path], AbstractContextManager[Ros]]:
    """`ros` with its logs in this folder, for a file whose tests ask one node what it answers to each alike."""
    return nodes_and_observer


@contextmanager
def nodes_and_observer(log_folder: Path) -> Iterator[Ros]:
    """A `Ros` on a domain of its own, ended with all that it started."""
    with domain_of_its_own() as domain, pytest.MonkeyPatch.context() as patch:
        if os.environ.get("ROS_DISTRO") == "humble":
            patch.setenv("ROS_LOCALHOST_ONLY", "1")
        else:
            patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        ros = Ros(log_folder, domain)
        try:
            yield ros
        finally:
            ros.close()


@contextmanager
def domain_of_its_own() -> Iterator[int]:
    """A ROS domain that no other test on this machine has meanwhile, whichever process or checkout it runs in.

    Whoever holds the lock on a domain's file has the domain; the kernel gives it back when its process ends.
    """
    first = os.getpid() % len(_DOMAINS)
    for domain in itertools.chain(_DOMAINS[first:], _DOMAINS[:first]):
        with (Path(tempfile.gettempdir()) / f"liver_seg_ros_test_domain_{domain}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    pytest.fail(f"all ROS domains from {_DOMAINS[0]} to {_DOMAINS[-1]} are taken by other tests")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with real ONNX networks that tell structures by their HU."""
    return write_models(tmp_path_factory.mktemp("models"))


def write_models(folder: Path) -> Path:
    """Write into this folder what the fixture `models` is."""
    write_bundle(folder / "localizer", _band_network([(BANDS_HU[0][0], BANDS_HU[-1][1])]), _spec("localize"))
    write_bundle(folder / "segmenter", _band_network(BANDS_HU), _spec("segment"))
    return folder


@pytest.fixture(scope="session")
def ct() -> Volume:
    """A small oblique CT of one liver with a tumor and a vessel in it."""
    return make_ct()


def make_ct() -> Volume:
    """See the fixture `ct`."""
    from scipy.spatial.transform import Rotation

    direction = Rotation.from_euler("xyz", [8, -5, 12], degrees=True).as_matrix()
    geometry = Geometry((60, 52, 40), (2.0, 2.5, 3.0), (-70.0, -40.0, 900.0), direction)
    return Volume(np.array([-100, 60, 140, 220], np.int16)[liver_labels(geometry.shape)], geometry, "test-ct")


def liver_labels(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Labels `(K, J, I)` at 2.0 x 2.5 x 3.0 mm of an ellipsoid with a ball and a rod in it."""
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    i, j, k = i * 2.0, j * 2.5, k * 3.0
    labels = np.zeros(shape, np.uint8)
    labels[((i - 50) / 36) ** 2 + ((j - 60) / 42) ** 2 + ((k - 66) / 40) ** 2 <= 1] = 1
    labels[(i - 44) ** 2 + (j - 54) ** 2 + (k - 62) ** 2 <= 21**2] = 2
    labels[((j - 54) ** 2 + (k - 62) ** 2 <= 8**2) & (np.abs(i - 44) <= 14)] = 3
    return labels


def _spec(stage: str) -> BundleSpec:
    localize = stage == "localize"
    names = ("background", "liver") if localize else ("background", "liver", "tumor", "vessel")
    return BundleSpec(
        name=f"test-{stage}",
        version="1.0.0",
        stage=stage,
        input=InputSpec((4.0,) * 3 if localize else (2.0,) * 3, HU_WINDOW, (32, 32, 32), 0.25, 4),
        labels=dict(enumerate(names)),
        postprocessing=Postprocessing({"liver": 20_000.0} if localize else {"tumor": 30.0}, 10.0),
        trained_on="nothing: its weights are computed",
        scores={},
        license="Apache-2.0",
        intended_use="tests",
    )


def _band_network(bands_hu: list[tuple[float, float]]) -> bytes:
    """ONNX: the background's logit is 0, a structure's is positive inside its HU band and negative outside."""
    low, high = HU_WINDOW
    ends = (np.array(bands_hu, np.float32) - (low + high) / 2) * 2 / (high - low)  # as `normalize` scales
    constants = {
        "centers": ends.mean(axis=1).reshape(-1, 1, 1, 1),
        "half_widths": (np.diff(ends, axis=1) / 2).reshape(-1, 1, 1, 1),
        "zero": np.float32(0),
    }
    nodes = [
        helper.make_node("Sub", ["image", "centers"], ["offset"]),
        helper.make_node("Abs", ["offset"], ["distance"]),
        helper.make_node("Sub", ["half_widths", "distance"], ["structures"]),
        helper.make_node("Mul", ["image", "zero"], ["background"]),
        helper.make_node("Concat", ["background", "structures"], ["logits"], axis=1),
    ]
    sizes = ["K", "J", "I"]
    graph = helper.make_graph(
        nodes,
        "bands",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["B", 1, *sizes])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", len(bands_hu) + 1, *sizes])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()
