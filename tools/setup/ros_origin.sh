#!/bin/sh
# Prints where ROS 2 comes from: "system" where it is installed, then nothing of the wheels is used, else "wheels".
# The answer is settled when the virtual environment is made and kept in it.
set -eu

settled=.venv/stamps/ros_origin
if [ -f "$settled" ]; then
    cat "$settled"
elif [ -n "${AMENT_PREFIX_PATH:-}" ] && "$(tools/setup/find_python.sh)" -c 'import rclpy' 2>/dev/null; then
    echo system
elif ls /opt/ros/*/setup.sh >/dev/null 2>&1; then
    echo "ROS 2 is installed but not active: run '. $(ls /opt/ros/*/setup.sh | tail -n 1)' in this shell, then make again" >&2
    exit 1
else
    echo wheels
fi
