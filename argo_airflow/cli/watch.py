"""``argo-airflow watch``: show a run's nodes until its end."""

from __future__ import annotations

import argparse
from pathlib import Path

from argo_airflow.cli.follow import Screen
from argo_airflow.cli.submit import HOME, show
from argo_airflow.errors import ArgoAirflowError
from argo_airflow.stack.client import AirflowClient, Json
from argo_airflow.stack.home import Connection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("dag", nargs="?", metavar="DAG", help="a DAG id (default: that of the latest run)")
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run id (default: the DAG's latest)")
    parser.add_argument(
        "--home", type=Path, default=Path(HOME), help="folder of the running stack (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the run; exit code 0 if it succeeded, 1 if not."""
    connection = Connection.of(arguments.home)
    client = AirflowClient(connection.url, connection.username, connection.password)
    if arguments.dag and arguments.run:
        found = client.run(arguments.dag, arguments.run)
    else:
        found = _latest(client, arguments.dag or "~")
    return 0 if show(client, found, Screen()) == "Succeeded" else 1


def _latest(client: AirflowClient, dag_id: str) -> Json:
    """The latest run that no other run called."""
    for run in client.runs(dag_id, order_by="-run_after"):
        if "argo" not in (run["conf"] or {}):
            return run
    raise ArgoAirflowError("there is no run yet" if dag_id == "~" else f"DAG {dag_id!r} has no run yet")
