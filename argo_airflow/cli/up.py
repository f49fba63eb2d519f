"""``argo-airflow up``: everything on this machine, and a workflow on it."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from argo_airflow.cli.follow import Screen
from argo_airflow.cli.submit import HOME, add_parameter_argument, parse_parameters, run_url, show, submit_file
from argo_airflow.errors import ArgoAirflowError, LocalRuntimeError
from argo_airflow.stack.airflow_parts import machine_environment
from argo_airflow.stack.component import Component
from argo_airflow.stack.ports import answers, next_free
from argo_airflow.stack.stack import UI_PORT, Stack

_EXAMPLE = "page-crawler.yaml"
_PAGE_API = Path("images", "crawler", "page_api.py")
_PAGE_PORT, _PAGES = 8099, 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="WORKFLOW.yaml", help=f"what to run (default: DAGS/{_EXAMPLE})"
    )
    parser.add_argument("--dags", type=Path, default=Path("dags"), help="the dags folder (default: ./%(default)s)")
    parser.add_argument("--home", type=Path, default=Path(HOME), help="data, logs, keys (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=UI_PORT, help="port of the UI, or the next free (default: %(default)s)"
    )
    parser.add_argument(
        "--exit", action="store_true", help="end with the workflow: exit code 0 if it succeeded, else 1"
    )
    parser.add_argument("--no-submit", action="store_true", help="start everything, run nothing")
    add_parameter_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Start, submit, show, stay; stop everything at Ctrl-C or SIGTERM."""
    parameters = parse_parameters(arguments.parameter)
    if arguments.no_submit and (arguments.file or arguments.exit or parameters):
        raise ArgoAirflowError("--no-submit runs nothing: leave the file, --exit and -p out")
    if arguments.file and not arguments.file.is_file():
        raise ArgoAirflowError(f"{arguments.file}: no such file")
    _interrupt_once()
    try:
        return _run(arguments, parameters)
    except KeyboardInterrupt:
        return 130 if arguments.exit else 0


def _run(arguments: argparse.Namespace, parameters: dict[str, str]) -> int:
    file = None if arguments.no_submit else arguments.file or arguments.dags / _EXAMPLE
    screen = Screen()
    stack = Stack(
        arguments.home,
        arguments.dags,
        ui_port=arguments.port,
        companions=_companions(arguments, parameters),
        report=_Reporter(screen),
    )
    print("Starting (Ctrl-C stops)", flush=True)
    with stack:
        _greet(stack, screen)
        if file is None:
            _stay(stack)
            return 0
        phase = _run_file(stack, file, parameters, screen)
        if arguments.exit:
            return 0 if phase == "Succeeded" else 1
        screen.say("Ctrl-C stops everything; the data stays, and the next start goes on with it.")
        _stay(stack)
        return 0


def _run_file(stack: Stack, file: Path, parameters: dict[str, str], screen: Screen) -> str:
    """Submit and show the file's runs; returns the first phase that is not Succeeded, else that."""

    def pause(seconds: float) -> None:
        if stack.wait(seconds):
            raise LocalRuntimeError(stack.failure)

    screen.say(f"Submitting {file}")
    phases = []
    for started in submit_file(stack.client, stack.dags, file, parameters, pause):
        screen.say(f"Run: {run_url(stack.connection.url, started)}")
        phases.append(show(stack.client, started, screen, pause))
    return next((phase for phase in phases if phase != "Succeeded"), "Succeeded")


def _greet(stack: Stack, screen: Screen) -> None:
    about = stack.connection
    screen.say(f"\nAirflow: {about.url}   user: {about.username}   password: {about.password}\n")


def _stay(stack: Stack) -> None:
    stack.wait()
    raise LocalRuntimeError(stack.failure)


def _companions(arguments: argparse.Namespace, parameters: dict[str, str]) -> list[Component]:
    """The page server of the default example; on another port where its own is taken."""
    program = arguments.dags / _PAGE_API
    if arguments.no_submit or arguments.file or not program.is_file():
        return []
    port = next_free(_PAGE_PORT)
    if port != _PAGE_PORT:
        parameters.setdefault("initial_page", f"http://127.0.0.1:{port}/api/block?page_token=1")
    command = (sys.executable, str(program.resolve()), "--port", str(port), "--pages", str(_PAGES))
    return [Component("page-api", command, lambda _: answers(port), machine_environment())]


class _Reporter:
    """Lines of the supervisor, from any thread, onto the screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen, self._lock = screen, threading.Lock()

    def __call__(self, line: str) -> None:
        with self._lock:
            self._screen.say(line)


def _interrupt_once() -> None:
    """Let SIGINT, SIGTERM and SIGHUP end the command in order, and a second one not disturb the stopping."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(*_: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in signals:
        signal.signal(number, interrupt)


def _port(text: str) -> int:
    port = int(text) if text.isdigit() else 0
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (1 to 65535)")
    return port
