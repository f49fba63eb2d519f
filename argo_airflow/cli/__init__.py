"""The command line: one verb a module, imported only when it is called.

A verb's module has ``add_arguments(parser)`` and ``run(arguments) -> exit code``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from argo_airflow.errors import ArgoAirflowError

VERBS = {
    "up": "start Airflow with all it needs on this machine, run a workflow, stay until Ctrl-C",
    "submit": "start a run of a workflow file, or of a DAG Airflow knows",
    "watch": "show a run's nodes, live, until its end",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0 well, 1 not, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="argo-airflow", description="Run Argo Workflows YAML on Apache Airflow.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, summary in VERBS.items():
        verb_parser = verbs.add_parser(verb, help=summary, description=summary)
        if verb in words:
            importlib.import_module(f"argo_airflow.cli.{verb}").add_arguments(verb_parser)
    arguments = parser.parse_args(words)
    module = importlib.import_module(f"argo_airflow.cli.{arguments.verb}")
    try:
        code: int = module.run(arguments)
    except ArgoAirflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code
