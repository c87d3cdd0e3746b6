#!/bin/sh
# Builds both ROS packages into install/.
# Where ROS 2 comes from wheels, the interfaces (and messages of others, which no wheel holds) go into the virtual
# environment, which is then the ROS prefix that our Python imports them from with nothing sourced.
set -eu

venv=$PWD/.venv
colcon=$(PATH="$venv/bin:$PATH"; command -v colcon) || {
    echo "colcon is missing: sudo apt-get install python3-colcon-common-extensions" >&2
    exit 1
}
build() { # build OPTION...: by this Python, so that the installed nodes run in .venv wherever they are started from
    .venv/bin/python "$colcon" --log-level error --log-base build/log build --build-base build \
        --event-handlers status- console_stderr- "$@" \
        --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$venv/bin/python" "-DPYTHON_EXECUTABLE=$venv/bin/python" ||
        {
            cat build/log/latest_build/*/stderr.log >&2
            exit 1
        }
}

if [ "$(tools/setup/ros_origin.sh)" = system ]; then
    build --base-paths . liver_seg_interfaces --install-base install
    exit 0
fi

export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" LD_LIBRARY_PATH="$venv/lib" PATH="$venv/bin:$PATH"
unset PYTHONPATH COLCON_PREFIX_PATH
messages="liver_seg_interfaces $(echo tools/*_msgs)"
# shellcheck disable=SC2086  # a list of folders, here and below
interfaces=$(find $messages -type f -exec cksum {} + | sort | cksum)
if [ "$interfaces" != "$(cat .venv/stamps/interfaces 2>/dev/null)" ]; then
    echo "building the messages into .venv (about a minute)"
    # shellcheck disable=SC2086
    build --base-paths $messages --merge-install --install-base "$venv"
    echo "$interfaces" >.venv/stamps/interfaces
fi
build --base-paths . --install-base install
