#!/bin/sh
# Installs the Debian packages that are missing when run as root, otherwise says in one line which they are:
# tools/setup/system_packages.sh [dev]; dev adds what only the tests need.
# Looks for what a package provides, not for its name, so that other ways of installing it count.
set -eu

python=$(command -v python3 || true)
missing=""
need() { # need PACKAGE COMMAND...: PACKAGE is missing where COMMAND fails
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
has_library() { /sbin/ldconfig -p | grep -q "$1"; }

has_command() { command -v "$1" || test -x "/usr/sbin/$1"; } # what only root has on its path

need python3 test -n "$python"
need python3-venv python3 -c 'import ensurepip'
need python3-dev python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
need g++ command -v g++
need cmake command -v cmake
need libgl1 has_library libGL.so.1
need libegl1 has_library libEGL.so.1
need libusb-1.0-0 has_library libusb-1.0.so.0 # of open3d
if [ "${1:-}" = dev ]; then
    need chromium command -v chromium
    need chromium-driver command -v chromedriver
    need dcmtk command -v storescu
    need dicom3tools command -v dciodvfy
    need orthanc has_command Orthanc
    need zsh command -v zsh # its completion
fi

[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing Debian packages, install them and make again: sudo apt-get install$missing" >&2
    exit 1
fi
echo "installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of words
apt-get install -qq -y --no-install-recommends $missing >/dev/null
