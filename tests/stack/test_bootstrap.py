"""The bootstrap on a small project of the same shape, so that it takes seconds.

The real one is the first start of the command, or of these tests.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from argo_airflow.stack import bootstrap

ROOT = Path(__file__).resolve().parents[2]

# A build backend without dependencies: what pip needs for an editable install, and no network.
BACKEND = """
import base64, hashlib, zipfile

INFO = {
    "METADATA": "Metadata-Version: 2.1\\nName: small\\nVersion: 1\\n",
    "WHEEL": "Wheel-Version: 1.0\\nTag: py3-none-any\\n",
}


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "small-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        wheel.writestr("small.py", "")
        for file, text in INFO.items():
            wheel.writestr(f"small-1.dist-info/{file}", text)
        wheel.writestr("small-1.dist-info/RECORD", "")
    return name


build_wheel = build_editable
"""

PROJECT = """
[project]
name = "small"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

ENTER = """
import sys
from argo_airflow.stack import bootstrap
bootstrap.enter([__file__, *sys.argv[1:]])
print("inside", sys.prefix, *sys.argv[1:])
"""


@pytest.fixture
def clone(tmp_path):
    package = tmp_path / "argo_airflow"
    (package / "stack").mkdir(parents=True)
    shutil.copy(ROOT / "argo_airflow" / "__init__.py", package)
    for name in ("__init__.py", "bootstrap.py"):
        shutil.copy(ROOT / "argo_airflow" / "stack" / name, package / "stack")
    (tmp_path / "requirements.lock").write_text("# nothing\n")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "backend.py").write_text(BACKEND)
    (tmp_path / "enter.py").write_text(ENTER)
    return tmp_path


def start(clone, *words, code=None, python=sys.executable):
    command = [python, str(clone / "enter.py"), *words] if code is None else [python, "-c", code]
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONDEVMODE": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=clone, env=environment)
    assert "Traceback" not in done.stderr
    return done


def test_from_the_first_start_to_a_changed_lock(clone):
    # What a set-up that was cut off may have left: an environment without a Python.
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/no/such/python")
    first = start(clone, "a word", "-x")
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == f"inside {clone}/.venv a word -x"
    assert "Setting up" in first.stdout

    for python in (sys.executable, str(clone / ".venv/bin/python")):
        again = start(clone, python=python)
        assert again.stdout.splitlines() == [f"inside {clone}/.venv"], "it goes straight in"

    (clone / "requirements.lock").write_text("./no-such-folder\n")
    for _ in range(2):  # a failed set-up is tried again
        failed = start(clone)
        assert failed.returncode == 1
        assert "pip could not install" in failed.stderr
        assert "no-such-folder" in failed.stderr

    (clone / "requirements.lock").write_text("# mended\n")
    mended = start(clone)
    assert "Setting up" in mended.stdout
    assert mended.stdout.splitlines()[-1] == f"inside {clone}/.venv"


def test_without_ensurepip_the_systems_pip_fills_the_environment(clone):
    code = (
        "import importlib.util as u; f = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'ensurepip' else f(n, *a)\n"
        "from argo_airflow.stack import bootstrap; bootstrap.enter(['enter.py', 'word'])"
    )
    python = shutil.which(
        "python3", path=os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if ".venv" not in p)
    )
    if python is None or subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("the system's Python has no pip")
    done = start(clone, code=code, python=python)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"inside {clone}/.venv word"
    assert not list((clone / ".venv" / "bin").glob("pip*")), "pip itself is not in it"


def test_an_old_python_is_told_so(clone):
    code = (
        "import sys; sys.version_info = (3, 9, 2); sys.version = '3.9.2 (old)'\n"
        "from argo_airflow.stack import bootstrap; bootstrap.enter([])"
    )
    done = start(clone, code=code)
    assert done.returncode == 1
    assert done.stderr == "error: Python 3.11 or newer is needed; this is 3.9.2\n"


def test_an_installed_package_needs_no_set_up(monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "LOCK", tmp_path / "requirements.lock")
    bootstrap.enter(["unused"])


def test_its_code_is_read_by_old_pythons_and_needs_the_standard_library_only():
    import ast

    for file in ("__init__.py", "__main__.py", "stack/__init__.py", "stack/bootstrap.py"):
        tree = ast.parse((ROOT / "argo_airflow" / file).read_text(), feature_version=(3, 8))
        for statement in tree.body:
            names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
            names += [statement.module] if isinstance(statement, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names or name == "argo_airflow.stack", (file, name)


def test_the_lock_pins_everything_the_project_needs():
    import tomllib

    lock = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = {line.partition("==")[0] for line in lock if "==" in line and not line.startswith((" ", "#"))}
    requirements = [line for line in lock if line and not line.startswith((" ", "#"))]
    assert all("==" in line for line in requirements)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(w for extra in project["optional-dependencies"].values() for w in extra)]
    names = {w.split(";")[0].partition(">")[0].partition("[")[0].strip().lower().replace("_", "-") for w in wanted}
    assert names <= pinned
