"""``python -m argo_airflow.helper init | wait | install PATH``: the entry points of the helper's containers."""

from __future__ import annotations

import sys
from pathlib import Path

from argo_airflow.helper import contract
from argo_airflow.helper.contract import ContractError, Job, Report

_USAGE = "usage: python -m argo_airflow.helper init | wait | install PATH"


def main(argv: list[str]) -> int:
    """Exit code 0, or 1 with a report whose ``error`` says why; 2 for a wrong command line."""
    try:
        match argv:
            case ["init"]:
                from argo_airflow.helper.init import run as init

                report = init(Job.from_env(), contract.root())
                # main's log is what people read: init says something only when it failed
                return _end(report) if report.error else 0
            case ["wait"]:
                from argo_airflow.helper.wait import run as wait

                return _end(wait(Job.from_env(), contract.root()))
            case ["install", path]:
                from argo_airflow.helper.init import install

                install(Path(path))
                return 0
    except ContractError as error:
        return _end(Report(error=str(error)))
    except Exception as error:
        # nobody reads a traceback in a pod that is gone; kind and text are in the report
        return _end(Report(error=f"unexpected {type(error).__name__}: {error}"))
    print(_USAGE, file=sys.stderr)
    return 2


def _end(report: Report) -> int:
    sys.stderr.flush()
    if report.error:
        print(f"error: {report.error}")
    print(report.line(), flush=True)
    return 1 if report.error else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
