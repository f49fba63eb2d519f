"""The importer for Airflow ≥ 3.4: ``airflow.sdk.importers``, chosen by ``[dag_processor] dag_importer_configs``."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.sdk.importers import (
    AbstractDagImporter,
    DagDefinition,
    DagImportError,
    DagImportResult,
    DagSourceCode,
    FileDagDefinition,
    find_file_dag_definitions,
    get_file_suffix,
    reset_importer_registry,
)

from argo_airflow.airflow_dags.process import set_default
from argo_airflow.airflow_dags.source import EXTENSIONS, compile_file, is_argo

_NATIVE = "airflow.sdk.importers.yaml_importer.YamlDagImporter"


class ArgoDagImporter(AbstractDagImporter[FileDagDefinition]):
    """Imports the DAGs of Argo's YAML; YAML that is not Argo's goes to the importer ``following``.

    Airflow gives an extension to one importer only, the last that is configured, so the next one is named here.

    Args:
        following: class path of the importer for other YAML: Airflow's own, which takes files whose ``$schema`` is
            Airflow's; None: other YAML is left alone.
    """

    supported_extensions = list(EXTENSIONS)

    def __init__(self, following: str | None = _NATIVE) -> None:
        self._following: AbstractDagImporter[Any] | None = pkgutil.resolve_name(following)() if following else None

    def can_handle(self, definition: DagDefinition | str | Path) -> bool:
        return get_file_suffix(definition) in self.supported_extensions

    def list_dag_definitions(
        self, bundle: Any, *, safe_mode: bool = True
    ) -> Iterator[FileDagDefinition | DagImportError]:
        """Yield Argo's files, and those of the importer after us; ``.airflowignore`` is obeyed."""
        for definition in find_file_dag_definitions(bundle.path, self.supported_extensions):
            if self.might_contain_dag(definition, safe_mode):
                yield definition

    def might_contain_dag(self, definition: DagDefinition, safe_mode: bool) -> bool:  # noqa: ARG002
        """Whether a file is Argo's, or may be of the importer after us.

        Without safe mode Airflow would take every YAML for a DAG of its own format, and report each that is not.
        """
        if _is_argo(definition):
            return True
        return self._following is not None and self._following.might_contain_dag(definition, safe_mode=True)

    def import_definition(self, definition: FileDagDefinition, bundle: Any) -> DagImportResult:
        """Import one file: its DAGs, or one error for each diagnostic. Raises nothing of ours."""
        if not _is_argo(definition):
            if self._following is not None and self._following.might_contain_dag(definition, safe_mode=True):
                return self._following.import_definition(definition, bundle)
            return DagImportResult(definition=definition, skipped_definitions=[definition])
        with definition.as_file() as path:
            compiled = compile_file(path, bundle.path)
        return DagImportResult(
            definition=definition,
            dags=list(compiled.dags),
            errors=[DagImportError(source_reference=repr(definition), **error) for error in compiled.errors()],
        )

    def get_source_code(self, definition: DagDefinition, dag_id: str | None = None) -> DagSourceCode:  # noqa: ARG002
        """The YAML as it is; one file is the source of all its DAGs."""
        return DagSourceCode(source_code=definition.read_text(encoding="utf-8-sig"), language="yaml")


def _is_argo(definition: DagDefinition) -> bool:
    try:
        return is_argo(definition.read_bytes().decode("utf-8", errors="replace"))
    except OSError:
        return False


def install_default() -> None:
    """Configure the importer where the user configured none. Idempotent."""
    if set_default("dag_processor", "dag_importer_configs", json.dumps([f"{__package__}.importer.ArgoDagImporter"])):
        reset_importer_registry()
