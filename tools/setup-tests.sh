#!/usr/bin/env bash
# Installs what the tests need in addition to Python: Debian's browser with a font for Chinese names, zstd to verify that logs are
# plain .zst files, strace to verify that answers follow the sync, and nginx as a reverse proxy. Playwright's Node.js needs libatomic1.
# Active measurement is compared with fping, irtt, iperf3, scamper and sipsak (5 MB together), TCP statistics with tcptrace (0.4 MB).
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/debian.sh
missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v zstd >/dev/null || missing+=(zstd)
command -v strace >/dev/null || missing+=(strace)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
for tool in fping irtt iperf3 scamper sipsak tcptrace; do command -v "$tool" >/dev/null || missing+=("$tool"); done
compgen -G '/usr/lib/*/libatomic.so.1' >/dev/null || missing+=(libatomic1)
[ -d /usr/share/fonts/opentype/noto ] || missing+=(fonts-noto-cjk)
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
