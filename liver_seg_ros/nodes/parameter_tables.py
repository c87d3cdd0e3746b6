# SPDX-License-Identifier: Apache-2.0
"""The parameters of every node, a table each: what the nodes declare, and what config/ and docs/ros.md are made of.

After a change: `tools/setup/run.sh python tools/parameter_files.py`.
"""

from __future__ import annotations

from functools import partial

from liver_seg_ros.inference.bundle import PRECISIONS
from liver_seg_ros.inference.runtimes.choice import AUTO, RUNTIMES
from liver_seg_ros.nodes.messages.slab import COMPRESSION_AUTO, COMPRESSION_NONE, COMPRESSION_ZLIB
from liver_seg_ros.nodes.parameter_rules import (
    Applies,
    callers,
    direction,
    frame,
    frame_or_nothing,
    one_of,
    peer_or_nothing,
    place,
    poses,
    rotation,
    structures,
    title,
)
from liver_seg_ros.nodes.parameters import Row
from liver_seg_ros.nodes.slice_parameters import THROUGH, VIEWS

_at_start = partial(Row, read_only=True)
_length = partial(_at_start, unit="m")
_before_configure = partial(Row, applies=Applies.AT_CONFIGURATION)
_before_activate = partial(Row, applies=Applies.AT_ACTIVATION)

#: Of every node; `StageNode` declares them.
ALL = (
    _at_start("autostart", False, "Configure and activate at start, without a lifecycle manager."),
    _at_start(
        "ct_frame_id",
        "",
        "Frame of the CT's axes, and of every message; empty: `ct_lps`, below the namespace if the node has one "
        "(`left/ct_lps`). CTs and labels in `ct_lps` are taken in any case.",
        check=frame_or_nothing,
    ),
)

#: Of every node with a `workplace`.
WORKER_PROCESS = (
    _at_start(
        "worker_process",
        True,
        "Work in a process of its own, so that the node always answers; false to debug or to profile.",
    ),
    _at_start(
        "worker_niceness",
        10,
        "By how much that process gives way to others, such as a needle's guard: 0 as they, 19 the most.",
        span=(0, 19),
    ),
)

#: Of every node with a `VolumeInput` or a `VolumeOutput`.
SHARED_MEMORY = (
    _before_configure(
        "shared_memory",
        True,
        "Volumes go to and come from other processes of this host in shared memory; false: in slabs only.",
    ),
)

#: Of every node with a `VolumeOutput`.
VOLUME_OUTPUT = (
    _before_configure(
        "slabs",
        32,
        "Slabs per volume, and messages kept for late subscribers. 4 to 16 MB each travel best.",
        span=(1, 1000),
    ),
    Row(
        "compression",
        COMPRESSION_AUTO,
        "Of the slabs: `zlib`, `none`, or `auto`, which compresses labels and leaves CTs as they are.",
        check=one_of(COMPRESSION_AUTO, COMPRESSION_NONE, COMPRESSION_ZLIB),
    ),
)

#: Of every node with a `VolumeInput`.
VOLUME_INPUT = (
    _before_activate(
        "slab_timeout_s",
        5.0,
        "Without a new slab for so long, missing slices are reported.",
        "s",
        (0.1, 600),
    ),
    _before_activate(
        "give_up_after_s",
        60.0,
        "Without a new slab for so long, an incomplete volume is given up and reported as failed.",
        "s",
        (0.1, 86_400),
    ),
    _before_activate(
        "max_volume_mb",
        2048,
        "Memory for volumes that are still incomplete; a larger volume is refused.",
        "MB",
        (1, 65536),
    ),
    _before_activate(
        "subscriber_depth",
        1024,
        "Slabs that wait to be taken; at least as many as a volume has, or they are lost.",
        span=(1, 100_000),
    ),
    *SHARED_MEMORY,
)

#: Of every node with a `StaticFrame`.
STATIC_FRAME = (
    Row(
        "parent_frame",
        "map",
        "Frame that the CT's frame hangs below; empty: something else publishes it.",
        check=frame_or_nothing,
    ),
    Row(
        "translation_m",
        (0.0, 0.0, 0.0),
        "Origin of the CT's frame in the parent frame.",
        "m",
        check=place,
        any_number=True,
    ),
    Row(
        "rotation_xyzw",
        (0.0, 0.0, 0.0, 1.0),
        "Its orientation there, a unit quaternion.",
        check=rotation,
        any_number=True,
    ),
)

CT_SOURCE = (
    Row(
        "path",
        "",
        "NIfTI, NRRD or MetaImage file, or DICOM folder; a new value of it or the next two is read at once.",
    ),
    Row("series_uid", "", "Which series of a DICOM folder that holds several; empty where it holds one."),
    Row(
        "acquisition",
        "",
        "Which of several acquisitions or phases that interleave in one DICOM series; the refusal without it, on "
        "`/diagnostics`, lists them.",
        any_number=True,
    ),
    _before_activate(
        "watch_folder",
        "",
        "A CT file, or a folder with a DICOM series, that appears in this folder is published, once; empty: none.",
    ),
    _before_activate("watch_settled_s", 5.0, "What has not changed for so long is complete.", "s", (0.1, 3600)),
    *VOLUME_OUTPUT,
    *SHARED_MEMORY,
    *WORKER_PROCESS,
)

SEGMENTATION = (
    _before_configure(
        "models_dir",
        "",
        "Folder with `localizer/`, `segmenter/` and any `segmenter_*/`, which are fused; empty: those shipped.",
    ),
    _before_configure(
        "runtime",
        AUTO,
        "What runs the networks: `tensorrt`, `openvino`, `onnxruntime`; `auto`: the first of these that works.",
        check=one_of(AUTO, *RUNTIMES),
    ),
    _before_configure(
        "precision",
        AUTO,
        "Number format of the networks: `fp32`, `fp16` or `int8`, as the models have them; `auto`: the runtime's best.",
        check=one_of(AUTO, *PRECISIONS),
    ),
    _before_configure(
        "cache_dir",
        "",
        "Where TensorRT's engines are kept; empty: `$LIVER_SEG_CACHE`, else `~/.cache/liver_seg_ros`.",
    ),
    Row(
        "when_busy",
        "queue",
        "What becomes of a goal of `segment_volume` that comes while the node works: it waits (`queue`), is rejected "
        "(`refuse`), or replaces what is worked on (`replace`), as a volume on the topic `ct` always does.",
        check=one_of("queue", "refuse", "replace"),
    ),
    _before_configure(
        "surroundings",
        False,
        "Also publish a coarse map of the organs around the liver on `surroundings`, by the model `surroundings/`.",
    ),
    _before_configure(
        "veins",
        False,
        "Tell portal from hepatic veins by geometry; what is in doubt stays `vessel`. Better with `surroundings`.",
    ),
    _before_configure(
        "preview",
        True,
        "Show the liver as it is found first, on a coarse grid, on `segmentation/preview` until the labels are there.",
    ),
    *VOLUME_INPUT,
    *VOLUME_OUTPUT,
    *WORKER_PROCESS,
)

RECONSTRUCTION = (
    *STATIC_FRAME,
    Row("triangle_budget", 30_000, "Triangles per structure; MoveIt stalls above 30000.", span=(100, 1_000_000)),
    Row(
        "collision_margin_m",
        0.003,
        "How far a collision mesh may be outside of its structure; 0 makes none.",
        "m",
        (0, 0.05),
    ),
    Row(
        "collision_triangle_budget",
        20_000,
        "Triangles per collision mesh at most; those that need fewer have fewer.",
        span=(100, 1_000_000),
    ),
    Row("point_spacing_m", 0.002, "Smallest distance between two points of the cloud.", "m", (1e-4, 0.1)),
    *VOLUME_INPUT,
    *WORKER_PROCESS,
)

REGISTRATION = (
    *STATIC_FRAME,
    Row("max_fre_m", 0.005, "A root mean square residual of the landmarks (FRE) above this is refused.", "m", (0, 1)),
)

PLANNER = (
    _at_start("use_ct", True, "Take the CT too: it has the skin, where needles may begin."),
    _at_start("by_hu", True, "Keep clear of bone, lung and gas that are not labelled, by their HU in the CT."),
    _at_start("surroundings", False, "Keep clear of the organs on the topic `surroundings` too."),
    *VOLUME_INPUT,
    *WORKER_PROCESS,
)

#: Of every node that looks at a needle; `needle_parameters` reads them.
NEEDLE = (
    _at_start("tip_frame", "needle_tip", "TF frame of the needle's tip.", check=frame),
    _at_start(
        "needle_axis",
        (0.0, 0.0, 1.0),
        "Where the tip points to, in its frame.",
        check=direction,
        any_number=True,
    ),
    _length("needle_radius_m", 0.00075, "Of the needle's shaft.", span=(0, 0.02)),
    _length("needle_length_m", 0.15, "Of the shaft, from the tip backwards.", span=(0.001, 1)),
)

NEEDLE_GUARD = (
    *NEEDLE,
    _at_start("rate_hz", 100.0, "Readings a second at least; at most twice as many.", "Hz", (1, 1000)),
    _at_start("markers_hz", 5.0, "Pictures for RViz a second, while somebody listens.", "Hz", (0.1, 30)),
    _at_start("tf_timeout_s", 0.1, "A transform older than this is STOP.", "s", (0.001, 10)),
    _at_start("max_speed_m_s", 1.0, "A tip that is faster has jumped: STOP.", "m/s", (0.001, 100)),
    _length(
        "least_clearance_m",
        0.0,
        "STOP within this of any structure; some are kept further away anyway.",
        span=(0, 0.1),
    ),
    _length("warn_margin_m", 0.003, "WARN within this of where it would be STOP.", span=(0, 0.1)),
    _length("warn_deviation_m", 0.003, "WARN where the tip is this far off the planned trajectory.", span=(0, 1)),
    _length("stop_deviation_m", 0.01, "STOP where the tip is this far off the planned trajectory.", span=(0, 1)),
    _at_start(
        "realtime_priority",
        1,
        "Of the guard's own process, before all ordinary work of the machine, where the system grants it; 0: as all. "
        "In a process with other nodes it has no effect.",
        span=(0, 99),
    ),
    _length("overshoot_m", 0.005, "STOP where the tip is this far beyond the target.", span=(0, 1)),
    _at_start("surroundings", False, "Guard the organs on the topic `surroundings` too."),
    *VOLUME_INPUT,
    *WORKER_PROCESS,
)

SLICE_VIEWER = (
    Row(
        "view",
        VIEWS[0],
        "Which plane: `axial`, `coronal`, `sagittal`, or `needle`, that of the needle's shaft.",
        check=one_of(*VIEWS),
    ),
    Row(
        "through",
        THROUGH[0],
        "What it goes through: `lesion`, the largest; `position`, at `position_m`; `clicked`, the point that was "
        "clicked last.",
        check=one_of(*THROUGH),
    ),
    Row(
        "position_m",
        0.0,
        "Where the plane is along z, y or x of the CT's frame, for axial, coronal, sagittal.",
        "m",
        (-10, 10),
    ),
    Row("window_center_hu", 40.0, "What is shown as middle gray.", "HU", (-2000, 4000)),
    Row("window_width_hu", 400.0, "From black to white.", "HU", (1, 10_000)),
    Row("pixel_size_m", 0.0008, "Side of a pixel.", "m", (0.0001, 0.01)),
    Row("needle_field_m", 0.2, "Side of the square that the view `needle` shows.", "m", (0.01, 1)),
    _before_activate("rate_hz", 5.0, "Pictures a second at most.", "Hz", (0.1, 30)),
    _before_activate("tf_timeout_s", 0.5, "A needle whose transform is older is not drawn.", "s", (0.001, 10)),
    *NEEDLE,
    *VOLUME_INPUT,
)

PLANNING_SCENE = (
    Row("octomap_resolution_m", 0.004, "Edge of the smallest cell of the octomap.", "m", (0.0005, 0.1)),
    Row(
        "octomap_structures",
        "",
        "Which structures the octomap holds, names with commas between; empty: all that are labelled.",
        check=structures,
    ),
    *VOLUME_INPUT,
)

IGTL_BRIDGE = (
    _before_activate(
        "address",
        "127.0.0.1",
        "Where it listens: this machine only, or the address of a network card; `0.0.0.0`: all of them. Peers are not "
        "asked who they are.",
    ),
    _before_activate("port", 18944, "TCP port; 0: any that is free.", span=(0, 65535)),
    _before_configure(
        "take",
        "",
        "Which poses of peers go to TF, below the CT's frame: `device=frame` with commas between, such as "
        "`NeedleToReference=needle_tip`; empty: none.",
        check=poses,
    ),
    _before_activate("tip_frame", "needle_tip", "TF frame that is served as the needle's tip.", check=frame),
    _before_activate("rate_hz", 30.0, "Poses of the tip a second at most.", "Hz", (0.1, 200)),
    _before_activate("tf_timeout_s", 0.1, "A transform older than this is not served.", "s", (0.001, 10)),
    *VOLUME_INPUT,
)

DICOM_RECEIVER = (
    _before_activate(
        "spool",
        "",
        "Folder that takes what is received, made where it is missing; one process has it. It has to be given.",
    ),
    _before_activate("title", "LIVERSEG", "Own AE title; who calls another one is refused.", check=title),
    _before_activate(
        "address",
        "127.0.0.1",
        "Where it listens: this machine only, or the address of a network card; `0.0.0.0`: all of them.",
    ),
    _before_activate("port", 11112, "TCP port; 0: any that is free.", span=(0, 65535)),
    _before_activate(
        "peers",
        "",
        "Who may send: `TITLE` or `TITLE@address[:port]` with commas between; empty: anybody who reaches the port.",
        check=callers,
    ),
    _before_activate("tls_cert", "", "File with the own certificate (PEM), which encrypts; empty: no TLS."),
    _before_activate("tls_key", "", "File with its key (PEM)."),
    _before_activate(
        "tls_ca", "", "File with the certificates of those who sign the senders'; they have to show one then."
    ),
    _before_activate(
        "user_file",
        "",
        "File that others cannot read, a line `NAME:PASSCODE` for each user who may send; empty: nobody is asked.",
    ),
    _before_activate(
        "pacs",
        "",
        "A PACS, `TITLE@host:port`, that is asked how many objects a series has; empty: nobody is asked.",
        check=peer_or_nothing,
    ),
    _before_activate("quiet_s", 10.0, "A series of unknown length is complete then.", "s", (0, 3600)),
    _before_activate(
        "deadline_s", 600.0, "A series that lacks objects and gets none for so long is named.", "s", (0, 604_800)
    ),
    _before_activate("associations", 20, "Senders at once; more are refused and may come again.", span=(1, 1000)),
    _before_activate(
        "object_mb", 600.0, "Of an object as sent; a larger one ends its association.", "MB", (1, 100_000)
    ),
    _before_activate(
        "spool_gb", 0.0, "Of all that lies in the spool; what is more is refused. 0: the disk.", "GB", (0, 1e6)
    ),
    _before_activate("keep_free_gb", 1.0, "Of the disk; what would take from it is refused.", "GB", (0, 1e6)),
    _before_activate(
        "commitment",
        False,
        "Storage commitment: tell who asks which objects the spool keeps. A scanner may delete them then.",
    ),
    _before_activate(
        "audit_file", "", "File to which the audit trail (DICOM PS3.15) is appended: who sent which study; empty: none."
    ),
    Row("remove_published", False, "Delete a series from the spool once it is published; false: it stays."),
    *VOLUME_OUTPUT,
    *SHARED_MEMORY,
    *WORKER_PROCESS,
)

#: Per executable, the composed one left out; `ALL` is in none.
TABLES: dict[str, tuple[Row, ...]] = {
    "ct_source": CT_SOURCE,
    "segmentation": SEGMENTATION,
    "reconstruction": RECONSTRUCTION,
    "planner": PLANNER,
    "needle_guard": NEEDLE_GUARD,
    "planning_scene": PLANNING_SCENE,
    "slice_viewer": SLICE_VIEWER,
    "registration": REGISTRATION,
    "igtl_bridge": IGTL_BRIDGE,
    "dicom_receiver": DICOM_RECEIVER,
}
