#!/bin/sh
# slim.sh VENV: removes files that no command of ours loads from an environment (about 150 of 440 MB). Then it imports every module
# and runs the parts that load the rest late, which also writes the byte code of exactly these modules.
set -eu
venv=$1
packages=$(echo "$venv"/lib/python3.*/site-packages)
cd "$packages"

# Arrow's own servers (Flight) and stores (S3).
rm pyarrow/libarrow_flight.* pyarrow/libarrow_python_flight.* pyarrow/libarrow_s3.* pyarrow/_flight.* pyarrow/_s3fs.*
# Libraries load libarrow_python by the name with one version number. The wheel holds a copy under each of three names.
rm pyarrow/libarrow_python.so pyarrow/libarrow_python.so.*.*
# The only image format of ours is PNG, without text in it.
rm PIL/_avif.* PIL/_webp.* PIL/_imagingft.* PIL/_imagingcms.*
rm pillow.libs/libavif-* pillow.libs/libwebp* pillow.libs/libfreetype-* pillow.libs/libharfbuzz-* pillow.libs/liblcms2-*
# For compilers and type checkers.
rm -r pyarrow/include pyarrow/src
find . -type f '(' -name '*.h' -o -name '*.c' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' ')' -delete
# Pages and reports load the minified scripts only.
find bokeh/server/static/js -type f ! -name '*.min.js' -delete
find . -type d -name tests -prune -exec rm -r {} +
# Debug symbols of uvloop, zstandard, aiohttp and others.
find . -name '*.so' -exec strip --strip-debug {} +

"$venv/bin/python" - <<'PYTHON'
import importlib, io, pkgutil

import bokeh.resources
import duckdb
import PIL.Image
import pyarrow.parquet
import zstandard

for name in ("coordinator", "endhost_sdk", "feedback_analysis", "feedback_server", "feedback_wire", "measurement", "monitor_platform", "netlab", "overlay", "serving", "swarmscope"):
    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
        # The image has neither qoe-lab nor overlay-media.
        left_out = ("swarmscope.commands.lab", "swarmscope.training_", "overlay.media_file")
        if not module.name.endswith("__main__") and not module.name.startswith(left_out):
            importlib.import_module(module.name)
numbers = pyarrow.table({"a": [1, 2]})
kept = io.BytesIO()
pyarrow.parquet.write_table(numbers, kept, compression="zstd")
assert pyarrow.parquet.read_table(io.BytesIO(kept.getvalue())).equals(numbers)
assert duckdb.sql("select sum(a) from numbers").fetchall() == [(3,)]
assert zstandard.decompress(zstandard.compress(b"a")) == b"a"
image = io.BytesIO()
PIL.Image.new("RGB", (1, 1)).save(image, "PNG")
assert PIL.Image.open(image).size == (1, 1)
assert bokeh.resources.Resources(mode="inline", components=["bokeh"]).js_raw
PYTHON
