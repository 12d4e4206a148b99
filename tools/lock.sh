#!/usr/bin/env bash
# lock.sh PYTHON: writes locks/*.txt: the packages for each supported Python and platform, in the versions of constraints.txt, with the
# SHA-256 of each file that the index offers. pip then installs no other file. The locks contain no index: pip and uv use the index of
# their own settings (UV_INDEX_URL for uv).
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
# uv keeps the versions of an existing lock, so the old locks are deleted first.
rm -f locks/*.txt
lock locks/build.txt tools/build-requirements.txt
lock locks/all.txt --extra all pyproject.toml
lock locks/dev.txt tools/dev-requirements.txt
