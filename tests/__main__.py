"""``python3 tests``: all tests; arguments are pytest's. From a clean clone it first sets up what they need."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Python put the folder tests here, whose folders have names of modules.
sys.path[0] = str(ROOT)

from argo_airflow.stack import bootstrap  # noqa: E402

if __name__ == "__main__":
    bootstrap.enter([str(ROOT / "tests"), *sys.argv[1:]], programs=["bwrap", "chromium"])

    import pytest

    given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    where = [] if given else [str(ROOT / "tests")]
    sys.exit(pytest.main([f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}", *sys.argv[1:], *where]))
