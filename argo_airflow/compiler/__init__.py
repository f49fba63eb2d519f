"""Argo YAML in, Airflow DAGs out, while Airflow parses DAG files. The stages, each a module:

parse → validate → resolve → plan → dag
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from argo_airflow.compiler.parse import Document
from argo_airflow.compiler.plan import plan
from argo_airflow.compiler.resolve import resolve
from argo_airflow.compiler.validate import check
from argo_airflow.errors import Diagnostic, InvalidWorkflow
from argo_airflow.graph import Graph

if TYPE_CHECKING:
    from airflow.sdk import DAG


def graphs(text: str | bytes, file: str) -> list[Graph]:
    """Everything but Airflow: one graph for each workflow in the file.

    Raises:
        InvalidWorkflow: with all problems of all documents.
    """
    documents, found = check(text, file)
    if any(diagnostic.severity == "error" for diagnostic in found):
        raise InvalidWorkflow(found)
    planned = [plan(resolve(document.workflow)) for document in documents]
    if twins := list(_twins(documents, planned)):
        raise InvalidWorkflow([*found, *twins])
    return planned


def _twins(documents: Iterable[Document], planned: Iterable[Graph]) -> Iterator[Diagnostic]:
    """DAGs that two documents of the file would both have; Airflow would keep the last and say nothing."""
    homes: dict[str, Document] = {}
    for document, graph in zip(documents, planned, strict=True):
        for dag in graph.dags:
            home = homes.setdefault(dag.dag_id, document)
            if home is not document:
                line = home.position(("metadata",)).line
                message = f"the workflow on line {line} has a DAG {dag.dag_id} already"
                hint = "give one of the workflows another metadata.name"
                yield Diagnostic(document.position(("metadata",)), "duplicate-dag", message, "metadata", hint)
                break


def dags(path: str, *, text: str | bytes | None = None, root: str | None = None) -> list[DAG]:
    """The Airflow DAGs of the YAML file at ``path``; ``root`` is the folder that file names are shown relative to.

    Raises:
        InvalidWorkflow: with all problems of the file.
        OSError: the file cannot be read.
    """
    from argo_airflow.compiler import dag

    file = Path(path)
    shown = str(file.relative_to(root)) if root and file.is_relative_to(root) else path
    content = file.read_bytes() if text is None else text
    return [airflow_dag for graph in graphs(content, shown) for airflow_dag in dag.dags(graph)]
