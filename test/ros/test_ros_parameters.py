# SPDX-License-Identifier: Apache-2.0
"""Parameters: what is wrong, or comes too late to matter, is refused at once, with the reason."""

from __future__ import annotations

import math

import pytest
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter
from tf2_msgs.msg import TFMessage

from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes.parameter_rules import direction, finite, frame, frame_or_nothing, one_of, place, rotation


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (finite, [1.0, 0, "a", [1.0, 2.0]], [math.nan, math.inf, [0.0, -math.inf]]),
        (one_of("auto", "fp32"), ["auto", "fp32"], ["AUTO", "", "fp16"]),
        (frame, ["map", "left/ct_lps", "a.b-c_9"], ["", "/map", "a b", "map\n", "m\u00e4p", " map", "-a"]),
        (frame_or_nothing, ["", "map"], ["/map", "a b"]),
        (place, [[0.0, 1.0, -2.5], [1, 2, 3]], [[0.0, 1.0], [math.nan, 0.0, 0.0], "abc", 1.0, [True, 1, 2], []]),
        (rotation, [[0.0, 0.0, 0.0, 1.0], [0, 0, 0, 1]], [[1.0, 1.0, 1.0, 1.0], [0.0] * 4, [math.nan] * 4, [1.0]]),
        (direction, [[0.0, 0.0, 2.0], [1, 0, 0]], [[0.0, 0.0, 0.0], [1.0, 0.0], [math.inf, 0.0, 0.0]]),
    ],
)
def test_each_check_takes_the_good_and_refuses_the_bad(check, good, bad):
    for value in good:
        check(value)
    for value in bad:
        with pytest.raises(InputError):
            check(value)


def set_parameter(ros, node, name, value):
    """Whether it was taken, and why not."""
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    [result] = ros.call(SetParameters, f"/{node}/set_parameters", request).results
    return result.successful, result.reason


def value_of(ros, node, name):
    request = GetParameters.Request(names=[name])
    return ros.call(GetParameters, f"/{node}/get_parameters", request).values[0]


def test_wrong_values_are_refused_when_they_are_set(ros):
    ros.start("reconstruction", autostart=False)
    for name, value, says in (
        ("parent_frame", "robot base", "parameter parent_frame is 'robot base'; a frame has letters"),
        ("parent_frame", "/map", "does not begin with /"),
        ("rotation_xyzw", [0.0, 0.0, 0.0, 2.0], "[0.0, 0.0, 0.0, 2.0]; give a unit quaternion"),
        ("rotation_xyzw", [math.nan, 0.0, 0.0, 1.0], "finite"),
        ("translation_m", [0.0, 0.0], "give three finite lengths"),
        ("translation_m", "1 2 3", "parameter translation_m is '1 2 3'; give three finite lengths"),
        ("point_spacing_m", math.nan, "nan"),
        ("point_spacing_m", -1.0, "range"),
        ("triangle_budget", "many", "type"),
    ):
        taken, why = set_parameter(ros, "reconstruction", name, value)
        assert not taken and says in why, (name, value, why)
    assert set_parameter(ros, "reconstruction", "translation_m", [1, 2, 3]) == (True, "")
    assert set_parameter(ros, "reconstruction", "point_spacing_m", 0.004) == (True, "")
    assert value_of(ros, "reconstruction", "point_spacing_m").double_value == 0.004


def test_what_comes_too_late_is_refused_and_says_what_to_do_first(ros, models):
    ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    taken, why = set_parameter(ros, "segmentation", "runtime", "abc")
    assert not taken and why == "parameter runtime is 'abc'; give one of: auto, tensorrt, openvino, onnxruntime"
    for name, value, first in (
        ("runtime", "onnxruntime", "clean the node up first"),
        ("precision", "fp32", "clean the node up first"),
        ("slabs", 7, "clean the node up first"),
        ("slab_timeout_s", 9.0, "deactivate the node first"),
    ):
        taken, why = set_parameter(ros, "segmentation", name, value)
        assert not taken and why.startswith(f"parameter {name} has no effect on a node that is active; {first}"), why
    assert set_parameter(ros, "segmentation", "runtime", "auto")[0]  # as it is
    assert ros.change_state("segmentation", Transition.TRANSITION_DEACTIVATE)
    assert set_parameter(ros, "segmentation", "slab_timeout_s", 9.0)[0]
    assert not set_parameter(ros, "segmentation", "slabs", 7)[0]
    assert ros.change_state("segmentation", Transition.TRANSITION_CLEANUP)
    assert set_parameter(ros, "segmentation", "slabs", 7)[0]
    assert set_parameter(ros, "segmentation", "runtime", "onnxruntime")[0]
    assert ros.change_state("segmentation", Transition.TRANSITION_CONFIGURE)
    ros.wait_for_line("/segmentation 0", "running on onnxruntime")


def test_a_new_transform_is_published_at_once(ros):
    ros.start("reconstruction")
    ros.wait_for_line("/reconstruction 0", "waiting for labels")
    frames = ros.latched(TFMessage, "/tf_static")
    ros.spin_until(lambda: len(frames) == 1)
    assert set_parameter(ros, "reconstruction", "translation_m", [0.0, 0.0, 0.25])[0]
    ros.spin_until(lambda: len(frames) == 2)
    assert frames[1].transforms[0].transform.translation.z == 0.25
    assert not set_parameter(ros, "reconstruction", "rotation_xyzw", [0.0, 0.0, 0.0, 2.0])[0]
    assert set_parameter(ros, "reconstruction", "parent_frame", "robot_base")[0]
    ros.spin_until(lambda: len(frames) == 3)
    assert frames[2].transforms[0].header.frame_id == "robot_base"
    assert frames[2].transforms[0].transform.translation.z == 0.25


def test_what_a_node_is_started_with_is_judged_when_it_is_configured(ros, models):
    process = ros.start("segmentation", models_dir=str(models), runtime="abc")
    ros.wait_for_line("/segmentation 2", "parameter runtime is 'abc'; give one of: auto, tensorrt")
    assert ros.state("segmentation") == "unconfigured"
    assert set_parameter(ros, "segmentation", "runtime", "onnxruntime")[0]
    assert ros.change_state("segmentation", Transition.TRANSITION_CONFIGURE)
    assert process.poll() is None


def test_a_type_that_cannot_be_ends_the_start_with_one_line(ros):
    process = ros.start("reconstruction", triangle_budget="many")
    assert process.wait(60) == 2
    log = ros.log("reconstruction")
    assert "triangle_budget" in log and "Traceback" not in log
