#!/usr/bin/env bash
# Installs the programs that the benchmarks compare with and measure with.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/debian.sh
missing=()
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
command -v wrk >/dev/null || missing+=(wrk)
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
