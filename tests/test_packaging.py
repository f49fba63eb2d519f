"""The package as pip and Airflow see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, entry_points
from pathlib import Path

import airflow
import pytest

import argo_airflow

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(sys.executable).parent


def one_entry_point(group: str) -> object:
    (found,) = [point for point in entry_points(group=group) if point.dist and point.dist.name == "argo-airflow"]
    return found.load()


def test_provider_info_is_what_airflow_accepts() -> None:
    from jsonschema import validate

    info = one_entry_point("apache_airflow_provider")()  # type: ignore[operator]
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    validate(info, schema)
    assert info["package-name"] == "argo-airflow"
    assert info["versions"] == [argo_airflow.__version__]


def test_plugin() -> None:
    from airflow.plugins_manager import AirflowPlugin

    plugin = one_entry_point("airflow.plugins")
    assert isinstance(plugin, type)
    assert issubclass(plugin, AirflowPlugin)


def test_airflow_lists_the_provider() -> None:
    from airflow.providers_manager import ProvidersManager

    assert ProvidersManager().providers["argo-airflow"].version == argo_airflow.__version__


def test_requirements_are_those_of_the_house() -> None:
    meta = distribution("argo-airflow").metadata
    assert meta["Requires-Python"] == ">=3.11"
    assert meta["License-Expression"] == "Apache-2.0"
    assert any(one.startswith("apache-airflow<4,>=3.3") for one in distribution("argo-airflow").requires or ())


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, env={**os.environ, **more}, cwd=ROOT, check=False)


@pytest.mark.parametrize("words", [("--help",), ("compile", "--help"), ("lint", "--help"), ("--version",)])
def test_console_script(words: tuple[str, ...]) -> None:
    done = run(str(SCRIPTS / "argo-airflow"), *words)
    assert done.returncode == 0, done.stderr
    assert "argo-airflow" in done.stdout


def test_lint_and_compile_start_without_airflow() -> None:
    """Importing Airflow takes seconds; who checks a file does not pay them."""
    script = (
        "import sys; from argo_airflow.cli import main\n"
        "codes = [main(['compile', 'dags/page-crawler.yaml']), main(['lint', 'dags/page-crawler.yaml'])]\n"
        "heavy = {'airflow', 'kubernetes', 'boto3'} & set(sys.modules)\n"
        "sys.exit(f'{codes} {heavy}' if heavy or any(codes) else 0)"
    )
    done = run(sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr


def test_wheel_holds_the_wrapper_for_both_machines(tmp_path: Path) -> None:
    """Built as pip builds it, with the compiler it fetches."""
    done = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(ROOT))
    if done.returncode and "No matching distribution found" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("argo_airflow-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for machine, code in (("amd64", 62), ("arm64", 183)):
            data = archive.read(f"argo_airflow/helper/bin/wrapper-{machine}")
            assert data[:4] == b"\x7fELF"
            assert int.from_bytes(data[18:20], "little") == code, "ELF e_machine"
    assert {"argo_airflow/compiler/plan.py", "argo_airflow/ui/plugin.py"} <= names
    assert not {name for name in names if not name.startswith("argo_airflow")}
