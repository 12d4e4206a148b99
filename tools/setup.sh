#!/usr/bin/env bash
# setup.sh VENV LOCK...: creates the virtual environment VENV with $PYTHON, and installs the packages of the LOCK files and Swarmscope
# itself. An environment of another Python version is created again. A new Debian has Python without the pip of the venv module, so
# that package is installed first if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
shift
python=${PYTHON:-python3}
. tools/debian.sh

version='import sys; print("%d.%d" % sys.version_info[:2])'
found=$("$python" -c "$version" 2>/dev/null) || {
  echo "Swarmscope needs Python 3.11 or newer, but '$python' does not run. Install python3, or set another: make PYTHON=…" >&2
  exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Swarmscope needs Python 3.11 or newer; '$python' is Python $found. Set another: make PYTHON=…" >&2
  exit 1
}
if [ "$("$venv/bin/python" -c "$version" 2>/dev/null)" != "$found" ]; then
  "$python" -c "import ensurepip" 2>/dev/null || install_packages "python$found-venv"
  echo "Making $venv with Python $found" >&2
  "$python" -m venv --clear "$venv"
fi
echo "Installing Python packages into $venv; a new one downloads 130 MB for the demo, 240 MB for the tests" >&2
# pip refuses each file whose hash is not in the locks (make lock). Swarmscope itself is linked; its build tools are in a lock as well.
"$venv/bin/python" -m pip install --disable-pip-version-check --require-hashes "${@/#/--requirement=}"
"$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
