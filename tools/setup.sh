#!/usr/bin/env bash
# setup.sh VENV LOCK...: makes the virtual environment VENV with $PYTHON, and installs there what the LOCKs list, and Swarmscope
# itself. An environment that another Python made is made anew. A fresh Debian has Python without the venv module's pip,
# so that package is installed first where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
shift
python=${PYTHON:-python3}
. tools/debian.sh

version='import sys; print("%d.%d" % sys.version_info[:2])'
found=$("$python" -c "$version" 2>/dev/null) || {
  echo "Swarmscope needs Python 3.11 or newer, and '$python' does not run. Install python3, or name another: make PYTHON=…" >&2
  exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Swarmscope needs Python 3.11 or newer; '$python' is Python $found. Name another: make PYTHON=…" >&2
  exit 1
}
if [ "$("$venv/bin/python" -c "$version" 2>/dev/null)" != "$found" ]; then
  "$python" -c "import ensurepip" 2>/dev/null || install_packages "python$found-venv"
  echo "Making $venv with Python $found" >&2
  "$python" -m venv --clear "$venv"
fi
echo "Installing Python packages into $venv; a new one downloads 130 MB for the demo, 240 MB for the tests" >&2
# pip refuses every file whose hash the locks do not name (make lock). Our own package is linked, with what builds it from a lock too.
"$venv/bin/python" -m pip install --disable-pip-version-check --require-hashes "${@/#/--requirement=}"
"$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
