"""The importer for Airflow 3.3: ``airflow.dag_processing.importers``, and what it takes to be asked at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import airflow.utils.file
from airflow.dag_processing.importers.base import (
    AbstractDagImporter,
    DagImporterRegistry,
    DagImportError,
    DagImportResult,
    get_importer_registry,
)

from argo_airflow.airflow_dags.source import EXTENSIONS, compile_file, is_argo_file


class ArgoDagImporter(AbstractDagImporter):
    """Imports the DAGs of Argo's YAML; YAML that is not Argo's goes to the importer that had the extension before."""

    def __init__(self, following: dict[str, AbstractDagImporter] | None = None) -> None:
        self._following = following or {}

    @classmethod
    def supported_extensions(cls) -> list[str]:
        return list(EXTENSIONS)

    def list_dag_files(self, directory: str | os.PathLike[str], safe_mode: bool = True) -> Iterator[str]:
        """Yield Argo's files, and those of the importer after us; ``.airflowignore`` is obeyed.

        Airflow's safe mode looks for the words of Python DAGs; ours is Argo's API group, in both modes.
        """
        yield from filter(is_argo_file, super().list_dag_files(directory, safe_mode=False))
        for importer in set(self._following.values()):
            yield from (p for p in importer.list_dag_files(directory, safe_mode) if not is_argo_file(p))

    def import_file(
        self,
        file_path: str | Path,
        *,
        bundle_path: Path | None = None,
        bundle_name: str | None = None,
        safe_mode: bool = True,
    ) -> DagImportResult:
        """Import one file: its DAGs, or one error for each diagnostic. Raises nothing of ours."""
        if not is_argo_file(file_path):
            return self._import_foreign(file_path, bundle_path, bundle_name, safe_mode)
        relative = self.get_relative_path(file_path, bundle_path)
        compiled = compile_file(file_path, bundle_path)
        return DagImportResult(
            file_path=relative,
            dags=list(compiled.dags),
            errors=[DagImportError(file_path=relative, **error) for error in compiled.errors()],
        )

    def _import_foreign(
        self, file_path: str | Path, bundle_path: Path | None, bundle_name: str | None, safe_mode: bool
    ) -> DagImportResult:
        following = self._following.get(Path(file_path).suffix.lower())
        if following is not None:
            return following.import_file(
                file_path, bundle_path=bundle_path, bundle_name=bundle_name, safe_mode=safe_mode
            )
        relative = self.get_relative_path(file_path, bundle_path)
        return DagImportResult(file_path=relative, skipped_files=[str(file_path)])


def install_default() -> None:
    """Register the importer, and let the DAG processor list its files. Idempotent."""
    registry = get_importer_registry()
    if not any(isinstance(registry.get_importer("x" + extension), ArgoDagImporter) for extension in EXTENSIONS):
        _register(registry)
    if not hasattr(airflow.utils.file.find_dag_file_paths, "_argo_airflow"):
        _extend_listing()


def _register(registry: DagImporterRegistry) -> None:
    following = {e: i for e in EXTENSIONS if (i := registry.get_importer("x" + e)) is not None}
    registry.register(ArgoDagImporter(following))


def _extend_listing() -> None:
    """THE ONE PRIVATE SEAM: Airflow 3.3's DAG processor lists files through this function and no registry.

    ``dag_processing/manager.py:_find_files_in_bundle`` → ``utils/file.py:list_py_file_paths`` → the module's global
    ``find_dag_file_paths``. ``tests/airflow_dags/test_importer.py::test_the_private_seam`` fails when it moves;
    Airflow 3.4 lists through the importers and needs none of this.
    """
    original: Callable[[Any, bool], list[str]] = airflow.utils.file.find_dag_file_paths

    def find_dag_file_paths(directory: str | os.PathLike[str], safe_mode: bool) -> list[str]:
        found = original(directory, safe_mode)
        importer = get_importer_registry().get_importer("x.yaml")
        if importer is not None:
            found += sorted(set(importer.list_dag_files(directory, safe_mode)).difference(found))
        return found

    find_dag_file_paths._argo_airflow = True  # type: ignore[attr-defined]
    airflow.utils.file.find_dag_file_paths = find_dag_file_paths
