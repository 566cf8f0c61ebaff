#!/bin/sh
# Make the virtual environment $VENV with $PYTHON, which must be 3.11 or newer.
set -eu
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "dicomnode needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2
    exit 1
}
if ! "$PYTHON" -m venv "$VENV" >/dev/null 2>&1; then
    rm -rf "$VENV"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing python3-venv"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        "$PYTHON" -m venv "$VENV"
    else
        echo "this Python cannot make virtual environments: install python3-venv" >&2
        exit 1
    fi
fi
