"""Show what a workflow file becomes: the graph of nodes, or the Airflow DAGs.

Exit code: 0 it compiles, 1 it has errors, which are shown as lint shows them, 2 it cannot be read. Needs no Airflow.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from argo_airflow.cli.lint import render
from argo_airflow.compiler import graphs
from argo_airflow.errors import InvalidWorkflow
from argo_airflow.graph import MAIN, DagGraph


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument("file", metavar="FILE", help="a workflow file, or - for the standard input")
    parser.add_argument("--dag", action="store_true", help="only list the Airflow DAGs and the ids of their tasks")


def run(args: argparse.Namespace) -> int:
    """Print all graphs of the file, or its errors."""
    try:
        content = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
    except OSError as error:
        print(f"argo-airflow compile: {args.file}: {error.strerror}", file=sys.stderr)
        return 2
    name = "<stdin>" if args.file == "-" else args.file
    try:
        found = graphs(content, name)
    except InvalidWorkflow as error:
        _show(error, content)
        return 1
    if not found:
        print(f"argo-airflow compile: {name}: holds no workflow", file=sys.stderr)
        return 1
    dags = [_listed(dag) if args.dag else f"{dag}\n" for graph in found for dag in graph.dags]
    print("\n".join(dags), end="")
    return 0


def _show(invalid: InvalidWorkflow, content: bytes) -> None:
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    lines = content.decode("utf-8", "replace").splitlines()
    for diagnostic in invalid.diagnostics:
        print(render(diagnostic, lines, colour))


def _listed(dag: DagGraph) -> str:
    """The DAG's id and under it those of its tasks, as Airflow has them."""
    ids = [*dag.by_id, *([MAIN] if dag.on_exit else [])]
    return "\n".join([dag.dag_id, *(f"  {task_id}" for task_id in ids), ""])
