#!/bin/sh
# Installs this package, editable, with the extras [all] and those named: tools/setup/python_packages.sh [EXTRA...]
# Makes .venv first where it is missing. Versions are those of constraints.txt.
set -eu

origin=$(tools/setup/ros_origin.sh)
if [ ! -x .venv/bin/python ]; then
    site=""
    [ "$origin" = wheels ] || site=--system-site-packages # ROS 2's own Python packages stay visible
    # shellcheck disable=SC2086  # an option or nothing
    "$(tools/setup/find_python.sh)" -m venv $site .venv
fi
mkdir -p .venv/stamps
echo "$origin" >.venv/stamps/ros_origin
touch .venv/COLCON_IGNORE

extras="all $*"
if [ "$origin" = wheels ]; then
    extras="ros $extras"
fi
pip="env PYTHONWARNINGS=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet"
pip="$pip --constraint constraints.txt"
case " $extras " in
*" train "* | *" deploy "*)
    # By itself and first: what depends on torch then takes this build and asks for no other.
    echo "installing $(grep -o '^torch==[0-9.]*' constraints.txt)"
    $pip torch
    ;;
esac
# shellcheck disable=SC2086  # one blank between words
list=$(echo $extras | tr " " ",")
echo "installing liver_seg_ros[$list] into .venv"
$pip --editable ".[$list]"

[ "$origin" = system ] || .venv/bin/python tools/setup/relocate_wheels.py
