"""Write the byte code of the tests, with pytest's assertions: `python -m tests.harness.byte_code`.

After a new clone, each worker of pytest-xdist would make the same byte code at the same time, which takes half of its start. pytest
has no public function for this, so the imports below may fail with another version of it; the tests then only begin later.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from _pytest.assertion.rewrite import PYC_TAIL, _read_pyc, _rewrite_test, _write_pyc, get_cache_dir

TESTS = Path(__file__).parents[1]


def write(path: Path) -> bool:
    """Whether the byte code of a test module was missing or old, and has been written."""
    pyc = get_cache_dir(path) / (path.name.removesuffix(".py") + PYC_TAIL)
    if _read_pyc(path, pyc) is not None:
        return False
    pyc.parent.mkdir(exist_ok=True)
    source_hash, code = _rewrite_test(path, None)  # type: ignore[arg-type] - its only use is a hook that no plugin here has
    return _write_pyc(None, code, source_hash, pyc)  # type: ignore[arg-type] - its only use is to trace errors


if __name__ == "__main__":
    modules = [*TESTS.rglob("test_*.py"), *TESTS.rglob("conftest.py")]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        print(sum(pool.map(write, modules, chunksize=10)), "test modules translated")
