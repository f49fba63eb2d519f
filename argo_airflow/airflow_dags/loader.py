"""The loader: Argo's YAML from one ``.py`` DAG file, where plugins cannot be installed and nothing be configured::

    from argo_airflow.airflow_dags.loader import load

    load(globals())

It loads the YAML of its own folder and those below; ``load(globals(), "/srv/workflows")`` that of another. All of these
DAGs belong to one file for Airflow: the Code tab shows the loader, and an error raised in it would remove every DAG of
it. So a broken YAML becomes a paused DAG ``argo-error.<file>``, tagged ``argo-error``, whose documentation is the
diagnostics and whose only task fails with them; it goes when the YAML is mended. The importer and the bundle have
none of these limits.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from argo_airflow.airflow_dags.source import (
    EXTENSIONS,
    Compiled,
    compile_file,
    is_argo_file,
    relative_path,
    workflow_names,
)
from argo_airflow.errors import Diagnostic, Position

log = logging.getLogger(__name__)

_ERROR = "argo-error"
_MAX_DAG_ID = 250


def load(namespace: MutableMapping[str, Any], folder: str | os.PathLike[str] | None = None) -> list[Any]:
    """Put the DAGs of a folder's Argo YAML into a DAG file's ``globals()``.

    Where Airflow asks for one DAG (a worker does), only the YAML that has it is compiled.

    Args:
        namespace: ``globals()`` of the DAG file.
        folder: where the YAML is; the DAG file's own folder if not given. ``.airflowignore`` is obeyed.

    Returns:
        The DAGs, those that stand for broken files included.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    from airflow.sdk import get_parsing_context

    own_file = str(namespace["__file__"])
    root = os.path.abspath(folder if folder is not None else os.path.dirname(own_file))
    if not os.path.isdir(root):
        raise FileNotFoundError(f"{own_file}: there is no folder {root} to load Argo workflows from")
    dags: list[Any] = []
    for dag in _dags(root, get_parsing_context().dag_id):
        # Airflow takes a DAG whose file is not the parsed one for deleted.
        dag.fileloc = own_file
        namespace[_identifier(dag.dag_id)] = dag
        dags.append(dag)
    return dags


def _dags(root: str, wanted: str | None) -> Iterator[Any]:
    homes: dict[str, str] = {}
    for path in _files(root) if wanted is None else _likely_first(_files(root), root, wanted):
        relative = relative_path(path, root)
        compiled = _without_twins(compile_file(path, root), relative, homes)
        if compiled.diagnostics:
            log.error("%s is not loaded:\n%s", relative, compiled.report)
        dags = [_error_dag(relative, compiled)] if compiled.diagnostics else compiled.dags
        if wanted is None:
            yield from dags
        elif any(dag.dag_id == wanted for dag in dags):
            # All of the file's: a task may read its own DAG's children.
            yield from dags
            return


def _without_twins(compiled: Compiled, relative: str, homes: dict[str, str]) -> Compiled:
    """``compiled``, or a diagnostic where another file has a DAG of the same id: the two would hide each other."""
    for dag in compiled.dags:
        home = homes.setdefault(dag.dag_id, relative)
        if home != relative:
            hint = "give one of the workflows another metadata.name"
            return Compiled.failed(
                [Diagnostic(Position(relative), "duplicate-dag", f"{home} has a DAG {dag.dag_id} already", hint=hint)]
            )
    return compiled


def _files(root: str) -> list[str]:
    from airflow._shared.module_loading.file_discovery import find_path_from_directory
    from airflow.configuration import conf

    syntax = conf.get("core", "dag_ignore_file_syntax", fallback="glob")
    found = find_path_from_directory(root, ".airflowignore", syntax)
    return sorted(path for path in found if Path(path).suffix.lower() in EXTENSIONS and is_argo_file(path))


def _likely_first(paths: list[str], root: str, wanted: str) -> list[str]:
    """The files in the order in which they may hold a DAG: the longest workflow name that starts the DAG id first."""

    def unlikelihood(path: str) -> int:
        if _error_id(relative_path(path, root)) == wanted:
            return -_MAX_DAG_ID
        names = workflow_names(Path(path).read_text(encoding="utf-8", errors="replace"))
        return -max((len(name) for name in names if wanted.startswith(name)), default=0)

    return sorted(paths, key=unlikelihood)


def _error_id(relative: str) -> str:
    return f"{_ERROR}.{re.sub(r'[^A-Za-z0-9._-]', '_', relative)}"[:_MAX_DAG_ID]


def _error_dag(relative: str, compiled: Compiled) -> Any:
    from airflow.sdk import DAG

    # Indented, Markdown shows it as it is.
    documentation = f"**{relative} is not loaded**\n\n    " + compiled.report.replace("\n", "\n    ")
    dag = DAG(
        _error_id(relative),
        dag_display_name=f"{relative} is not loaded",
        description=compiled.report.splitlines()[0],
        doc_md=documentation,
        schedule=None,
        is_paused_upon_creation=True,
        tags={_ERROR},
    )
    _failing_task(dag, compiled.report)
    return dag


def _failing_task(dag: Any, report: str) -> None:
    from airflow.sdk import BaseOperator
    from airflow.sdk.exceptions import AirflowFailException

    class NotLoaded(BaseOperator):
        """Fails with the diagnostics of the file."""

        template_fields = ()

        def execute(self, context: Any) -> None:  # noqa: ARG002
            raise AirflowFailException(report)

    NotLoaded(task_id="not-loaded", dag=dag)


def _identifier(dag_id: str) -> str:
    return "argo_" + re.sub(r"\W", lambda match: f"_{ord(match[0]):x}_", dag_id)
