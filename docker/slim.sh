#!/bin/sh
# slim.sh VENV: removes what no server of ours loads from an environment (about 130 of 420 MB), then imports every server and runs
# the parts that load the rest late, which also writes the byte code of exactly these modules.
set -eu
venv=$1
packages=$(echo "$venv"/lib/python3.*/site-packages)
cd "$packages"

# Arrow Flight and S3: servers and stores of Arrow's own. The headers are for compilers.
rm -r pyarrow/include pyarrow/libarrow_flight.* pyarrow/libarrow_python_flight.* pyarrow/libarrow_s3.* pyarrow/_flight.* pyarrow/_s3fs.*
# Pages and reports load the minified scripts only.
find bokeh/server/static/js -type f ! -name '*.min.js' -delete
find . -type d -name tests -prune -exec rm -r {} +
# Debug symbols of uvloop, zstandard, aiohttp and others.
find . -name '*.so' -exec strip --strip-debug {} +

"$venv/bin/python" - <<'PYTHON'
import importlib, io, pkgutil

import bokeh.resources
import duckdb
import pyarrow.parquet
import zstandard

for name in ("coordinator", "endhost_sdk", "feedback_analysis", "feedback_server", "feedback_wire", "monitor_platform", "netlab", "overlay", "serving", "swarmscope"):
    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
numbers = pyarrow.table({"a": [1, 2]})
kept = io.BytesIO()
pyarrow.parquet.write_table(numbers, kept, compression="zstd")
assert pyarrow.parquet.read_table(io.BytesIO(kept.getvalue())).equals(numbers)
assert duckdb.sql("select sum(a) from numbers").fetchall() == [(3,)]
assert zstandard.decompress(zstandard.compress(b"a")) == b"a"
assert bokeh.resources.Resources(mode="inline", components=["bokeh"]).js_raw
PYTHON
