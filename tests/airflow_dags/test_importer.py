"""The importer of Airflow 3.3, and the one function it has to extend."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import airflow.utils.file
import pytest
from airflow.dag_processing import manager
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.importers.base import get_importer_registry

from argo_airflow.airflow_dags.importer import ArgoDagImporter, install

from .conftest import FOUND, REFUSED, broken, fill, workflow

pytestmark = pytest.mark.skipif(
    not hasattr(airflow.utils.file, "find_dag_file_paths"), reason="this Airflow lists files through importers"
)


@pytest.fixture(autouse=True)
def _installed() -> None:
    install()


def test_the_private_seam() -> None:
    """Fails when Airflow lists DAG files another way: see importer_core._extend_listing."""
    assert list(inspect.signature(airflow.utils.file.find_dag_file_paths).parameters) == ["directory", "safe_mode"]
    assert "list_py_file_paths(bundle.path" in inspect.getsource(manager.DagFileProcessorManager._find_files_in_bundle)
    assert "find_dag_file_paths(directory, safe_mode)" in inspect.getsource(airflow.utils.file.list_py_file_paths)


def test_installed_twice_is_installed_once(caplog: pytest.LogCaptureFixture) -> None:
    listing, importer = airflow.utils.file.find_dag_file_paths, get_importer_registry().get_importer("a.yaml")
    install()
    assert airflow.utils.file.find_dag_file_paths is listing
    assert get_importer_registry().get_importer("a.yaml") is importer
    assert isinstance(importer, ArgoDagImporter)
    assert get_importer_registry().get_importer("a.yml") is importer
    assert caplog.text == ""


@pytest.mark.parametrize("safe_mode", [True, False])
def test_the_listing_has_python_and_argo_files_once(tmp_path: Path, safe_mode: bool) -> None:
    fill(tmp_path)
    (tmp_path / "native.py").write_text("from airflow.sdk import DAG\n")
    listed = airflow.utils.file.list_py_file_paths(tmp_path, safe_mode=safe_mode)
    assert sorted(str(Path(p).relative_to(tmp_path)) for p in listed) == [
        "below/deeper.yml",
        "gone-soon.yaml",
        "hello.yaml",
        "mixed.yaml",
        "native.py",
        "not-yaml.yaml",
        "several.yaml",
        "unknown-field.yaml",
    ]


def test_a_regexp_airflowignore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX", "regexp")
    (tmp_path / "hello.yaml").write_text(workflow("hello"))
    (tmp_path / "hidden.yaml").write_text(workflow("hidden"))
    (tmp_path / ".airflowignore").write_text("hid+en\n")
    assert airflow.utils.file.list_py_file_paths(tmp_path) == [str(tmp_path / "hello.yaml")]


def test_a_dag_bag_of_the_folder(tmp_path: Path) -> None:
    fill(tmp_path)
    bag = DagBag(tmp_path, bundle_path=tmp_path, bundle_name="test")
    assert set(bag.dag_ids) == FOUND
    assert bag.import_errors.keys() == REFUSED


def test_each_diagnostic_is_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(broken("broken").replace("  templates:", "  notAField2: 1\n  templates:"))
    result = ArgoDagImporter().import_file(path, bundle_path=tmp_path)
    assert not result.success
    assert [(e.file_path, e.line_number, e.column_number) for e in result.errors] == [
        ("broken.yaml", 7, 3),
        ("broken.yaml", 9, 3),
    ]
    report = result.errors[0].stacktrace
    assert report is not None
    assert report == "\n".join(error.message for error in result.errors)
    assert result.errors[1].stacktrace == report
    assert re.search(r"^broken\.yaml:9:3: error: ", report, re.MULTILINE)
    for error in result.errors:
        assert error.suggestion
        assert f"hint: {error.suggestion}" in error.message


def test_other_yaml_goes_to_the_importer_before_ours(tmp_path: Path) -> None:
    class Lines(type(get_importer_registry().get_importer("a.py"))):  # type: ignore[misc]
        """Takes any YAML for a Python file."""

        @classmethod
        def supported_extensions(cls) -> list[str]:
            return [".yaml"]

        def list_dag_files(self, directory: object, safe_mode: bool = True) -> list[str]:  # noqa: ARG002
            return sorted(map(str, Path(str(directory)).glob("*.yaml")))

    (tmp_path / "a.yaml").write_text(workflow("a"))
    (tmp_path / "b.yaml").write_text("from airflow.sdk import DAG\ndag = DAG('b')\n")
    importer = ArgoDagImporter({".yaml": Lines()})
    assert list(importer.list_dag_files(tmp_path)) == [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    assert [dag.dag_id for dag in importer.import_file(tmp_path / "a.yaml").dags] == ["a"]
    assert [dag.dag_id for dag in importer.import_file(tmp_path / "b.yaml").dags] == ["b"]
    alone = ArgoDagImporter().import_file(tmp_path / "b.yaml", bundle_path=tmp_path)
    assert (alone.dags, alone.errors, alone.skipped_files) == ([], [], [str(tmp_path / "b.yaml")])
