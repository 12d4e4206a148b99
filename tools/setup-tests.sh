#!/usr/bin/env bash
# What the tests need beside Python: Debian's browser with a font for Chinese names, zstd to prove that logs are plain .zst
# files, strace to see that nothing is answered before it is synced. The Node.js that Playwright brings needs libatomic1.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/debian.sh
missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v zstd >/dev/null || missing+=(zstd)
command -v strace >/dev/null || missing+=(strace)
compgen -G '/usr/lib/*/libatomic.so.1' >/dev/null || missing+=(libatomic1)
[ -d /usr/share/fonts/opentype/noto ] || missing+=(fonts-noto-cjk)
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
