#!/bin/sh
# Runs a command with .venv and both ROS packages in its environment: tools/setup/run.sh COMMAND [ARGUMENT...]
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
if [ "$(cat "$root/.venv/stamps/ros_origin")" = wheels ]; then
    export AMENT_PREFIX_PATH="$root/install/liver_seg_ros:$root/.venv"
else
    set +u
    # shellcheck disable=SC1091  # made by colcon
    . "$root/install/setup.sh"
    set -u
fi
PATH="$root/.venv/bin:$PATH" exec "$@"
