#!/usr/bin/env bash
# lock.sh PYTHON: writes locks/*.txt anew: what pip is to install for each supported Python and platform, in the versions of
# constraints.txt, with the SHA-256 of every file that the index offers for them. pip then takes no other file. The locks name no
# index: each machine asks the one that its pip is set up with, and uv the one of its own settings (UV_INDEX_URL).
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
lock() { # lock OUTPUT INPUT...
  local output=$1
  shift
  "$python" -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
    --no-emit-package swarmscope --constraint constraints.txt --output-file "$output" "$@"
  echo "$output: $(grep -c == "$output") packages"
}
# Compiling keeps what an older lock says, so it has to go first.
rm -f locks/*.txt
lock locks/build.txt tools/build-requirements.txt
lock locks/all.txt --extra all pyproject.toml
lock locks/dev.txt tools/dev-requirements.txt
