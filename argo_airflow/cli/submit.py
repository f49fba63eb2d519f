"""``argo-airflow submit``: start a run of a workflow file or of a DAG."""

from __future__ import annotations

import argparse
import filecmp
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from argo_airflow.cli.follow import Follower, Screen, follow, template_names
from argo_airflow.errors import ArgoAirflowError
from argo_airflow.settings import Settings
from argo_airflow.stack.client import AirflowClient, Json
from argo_airflow.stack.home import Connection

HOME = ".argo-airflow"

_APPEAR_SECONDS = 180.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("what", metavar="FILE|DAG", help="a workflow's YAML file, or a DAG id")
    add_parameter_argument(parser)
    parser.add_argument("--wait", action="store_true", help="wait for the run's end; exit code 1 if it failed")
    parser.add_argument("--watch", action="store_true", help="show the run's nodes until its end; exit code as --wait")
    parser.add_argument(
        "--home", type=Path, default=Path(HOME), help="folder of the running stack (default: %(default)s)"
    )


def add_parameter_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``-p name=value``."""
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="value of a workflow parameter"
    )


def run(arguments: argparse.Namespace) -> int:
    """Submit; with --wait or --watch the exit code is the run's result."""
    connection = Connection.of(arguments.home)
    client = AirflowClient(connection.url, connection.username, connection.password)
    parameters = parse_parameters(arguments.parameter)
    if _is_file(arguments.what):
        runs = submit_file(client, Path(connection.dags), Path(arguments.what), parameters)
    else:
        if client.dag(arguments.what) is None:
            raise ArgoAirflowError(f"Airflow knows no DAG {arguments.what!r}, and no such file exists")
        runs = [client.trigger(arguments.what, parameters)]
    for started in runs:
        print(f"{run_url(connection.url, started)}", flush=True)
    if not (arguments.wait or arguments.watch):
        return 0
    phases = [show(client, started, Screen(quiet=not arguments.watch)) for started in runs]
    return 0 if all(phase == "Succeeded" for phase in phases) else 1


def show(
    client: AirflowClient,
    started: Json,
    screen: Screen,
    pause: Callable[[float], object] = time.sleep,
) -> str:
    """Show a run until its end; returns its phase."""
    dag = client.dag(started["dag_id"]) or {}
    follower = Follower(client, started["dag_id"], started["dag_run_id"], template_names(dag.get("fileloc") or ""))
    return follow(follower, screen, Settings.load().namespace, pause)


def run_url(url: str, started: Json) -> str:
    """Address of the run's page in Airflow's UI."""
    return f"{url}/dags/{started['dag_id']}/runs/{started['dag_run_id']}"


def parse_parameters(given: Sequence[str]) -> dict[str, str]:
    """``name=value`` words as a mapping.

    Raises:
        ArgoAirflowError: a word without ``=``.
    """
    parameters = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ArgoAirflowError(f"-p {word!r}: expected name=value")
        parameters[name] = value
    return parameters


def submit_file(
    client: AirflowClient,
    dags: Path,
    file: Path,
    parameters: Mapping[str, str],
    pause: Callable[[float], object] = time.sleep,
) -> list[Json]:
    """Put the file into the dags folder if it is not there, wait for its DAGs, start a run of each; returns the runs.

    Raises:
        ArgoAirflowError: no such file, another file of that name, or Airflow cannot read it (its message is shown).
    """
    placed = _place(dags, file)
    return [client.trigger(dag["dag_id"], parameters) for dag in _await_dags(client, dags, placed, pause)]


def _is_file(what: str) -> bool:
    return Path(what).is_file() or what.endswith((".yaml", ".yml", ".json"))


def _place(dags: Path, file: Path) -> Path:
    if not file.is_file():
        raise ArgoAirflowError(f"{file}: no such file")
    file = file.resolve()
    if file.is_relative_to(dags):
        return file
    target = dags / file.name
    if target.exists() and not filecmp.cmp(file, target, shallow=False):
        raise ArgoAirflowError(f"{target} exists and differs from {file}; remove or rename one of them")
    if not target.exists():
        shutil.copyfile(file, target)
        print(f"copied {file} to {target}")
    return target


def _await_dags(client: AirflowClient, dags: Path, file: Path, pause: Callable[[float], object]) -> list[Json]:
    changed = file.stat().st_mtime
    relative = str(file.relative_to(dags))
    deadline = time.monotonic() + _APPEAR_SECONDS
    while time.monotonic() < deadline:
        for error in client.import_errors():
            told = error["timestamp"] and datetime.fromisoformat(error["timestamp"]).timestamp() >= changed
            if told and (error["filename"] or "").endswith(relative):
                raise ArgoAirflowError(error["stack_trace"] or f"Airflow cannot read {relative}")
        found = [
            dag
            for dag in client.dags()
            if dag["relative_fileloc"] == relative
            and datetime.fromisoformat(dag["last_parsed_time"]).timestamp() >= changed
        ]
        roots = [dag for dag in found if "argo-child" not in {tag["name"] for tag in dag["tags"]}]
        if roots:
            return roots
        pause(0.5)
    raise ArgoAirflowError(
        f"{relative} gave no DAG within {_APPEAR_SECONDS:.0f} s; does it hold a Workflow? See the dag-processor's log"
    )
