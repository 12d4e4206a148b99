#!/usr/bin/env bash
# Makes the virtual environment $1 with exactly the versions of constraints.txt. A fresh Debian has Python without the venv
# module's pip, so that one package is installed first where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
python=${PYTHON:-python3}
. tools/debian.sh

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Swarmscope needs Python 3.11 or newer; $python is $("$python" --version)." >&2
  exit 1
}
"$python" -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --requirement tools/dev-requirements.txt
