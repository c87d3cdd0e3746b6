#!/bin/sh
# Prints the Python that the virtual environment is made from: the first of 3.10 to 3.12, the system's own before others.
set -eu

for python in python3 python3.11 python3.12 python3.10; do
    if "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
        command -v "$python"
        exit 0
    fi
done
echo "no Python 3.10, 3.11 or 3.12 found: install one (Debian and Ubuntu: apt-get install python3 python3-venv)" >&2
exit 1
