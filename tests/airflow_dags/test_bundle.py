"""The bundle on a folder, around another bundle, and in several processes; test_dag_processor runs it in Airflow."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from airflow.dag_processing.bundles import base
from airflow.exceptions import AirflowException

from argo_airflow.airflow_dags.bundle import ArgoDagBundle

from .conftest import Airflow, workflow


@pytest.fixture(autouse=True)
def _storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "hello.yaml").write_text(workflow("hello"))
    return folder


def _version(bundle: ArgoDagBundle) -> str:
    current = bundle.get_current_version()
    assert current is not None
    return current.version


def test_a_pinned_version_stays(source: Path) -> None:
    bundle = ArgoDagBundle(name="argo", path=str(source))
    assert bundle.get_current_version() is None
    bundle.initialize()
    first = _version(bundle)
    (source / "hello.yaml").write_text(workflow("hello", word="changed"))
    bundle.refresh()
    assert _version(bundle) != first
    assert "changed" in (bundle.path / "hello.yaml").read_text()
    pinned = ArgoDagBundle(name="argo", path=str(source), version=first)
    pinned.initialize()
    assert (pinned.path / "hello.yaml").read_text() == workflow("hello")
    assert _version(pinned) == first


def test_another_machine_with_the_same_folder_has_the_version(source: Path) -> None:
    bundle = ArgoDagBundle(name="argo", path=str(source))
    bundle.initialize()
    version = _version(bundle)
    shutil.rmtree(bundle.base_dir)
    worker = ArgoDagBundle(name="argo", path=str(source), version=version)
    worker.initialize()
    assert (worker.path / "hello.yaml").read_text() == workflow("hello")


def test_a_version_that_is_nowhere_is_named(source: Path) -> None:
    bundle = ArgoDagBundle(name="argo", path=str(source), version="0123456789abcdef")
    with pytest.raises(AirflowException, match="version 0123456789abcdef is not on this machine"):
        bundle.initialize()


def test_path_and_inner_exclude_each_other(source: Path) -> None:
    with pytest.raises(AirflowException, match="give path or inner, not both"):
        ArgoDagBundle(name="argo", path=str(source), inner="airflow.dag_processing.bundles.local.LocalDagBundle")


def test_it_wraps_a_bundle_without_versions(source: Path) -> None:
    inner = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundle = ArgoDagBundle(name="argo", inner=inner, inner_kwargs={"path": str(source)})
    bundle.initialize()
    assert _version(bundle) == _version(ArgoDagBundle(name="argo", path=str(source)))


class Tagged(base.BaseDagBundle):
    """A bundle with versions of its own, as Git's: one folder for each tag."""

    supports_versioning = True

    def __init__(self, *, root: str, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.root, self.subdir = Path(root), "workflows"

    @property
    def path(self) -> Path:
        return self.root / (self.version or "v2")

    def get_current_version(self) -> base.BundleVersion:
        return base.BundleVersion(self.version or "v2", {"commit": "abc"})

    def refresh(self) -> None:
        (self.root / "refreshed").touch()

    def view_url_template(self) -> str:
        return "https://git.example/{version}/{subdir}"


def test_it_keeps_the_versions_of_a_bundle_that_has_them(tmp_path: Path) -> None:
    for tag in ("v1", "v2"):
        (tmp_path / tag).mkdir()
    arguments = {"name": "argo", "inner": f"{__name__}.Tagged", "inner_kwargs": {"root": str(tmp_path)}}
    bundle = ArgoDagBundle(**arguments)
    bundle.initialize()
    bundle.refresh()
    assert (tmp_path / "refreshed").exists()
    assert bundle.get_current_version() == base.BundleVersion("v2", {"commit": "abc"})
    assert bundle.path == tmp_path / "v2"
    assert ArgoDagBundle(**arguments, version="v1").path == tmp_path / "v1"
    assert bundle.view_url_template() == "https://git.example/{version}/{subdir}"
    assert bundle.subdir == "workflows"


TAKE = """
import sys
from argo_airflow.airflow_dags.bundle import ArgoDagBundle
for _ in range(10):
    bundle = ArgoDagBundle(name="argo", path=sys.argv[1])
    bundle.initialize()
    bundle.refresh()
    text = (bundle.path / "hello.yaml").read_text()
    assert text.startswith("# hello"), text
"""


def test_processes_at_once(source: Path, bare_airflow: Airflow) -> None:
    command = [sys.executable, "-c", TAKE, str(source)]
    environment = bare_airflow.environment()
    takers = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    number = 0
    while any(taker.poll() is None for taker in takers):
        number += 1
        new = source / ".new"
        new.write_text(workflow("hello", word=str(number)))
        new.replace(source / "hello.yaml")
        time.sleep(0.01)
    assert [(taker.returncode, taker.stderr.read() if taker.stderr else "") for taker in takers] == [(0, "")] * 3
    stored = bare_airflow.folder / "bundles/argo"
    assert [path.name for path in (stored / "versions").iterdir() if path.name.startswith(".")] == []
    assert {path.name for path in stored.iterdir()} == {"latest", "versions"}
