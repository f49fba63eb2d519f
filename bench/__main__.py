"""``python bench``: figures of speed, as one Markdown table; progress goes to standard error.

Parts (``--only``): ``pods`` and ``preimport`` run short pods as Argo YAML and as hand-written KubernetesPodOperator
tasks (KPO) on one Airflow, in turn; ``crawler`` runs a recursion 200 deep; ``parse`` reads files of 1,000 tasks.
All on the embedded stack, in a temporary folder, with its own dags folder. Nothing else should run on the machine.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Python put the folder bench here, whose modules are bench.… for each other.
sys.path[0] = str(ROOT)

from argo_airflow.stack import bootstrap  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table; returns the exit code."""
    from argo_airflow.errors import ArgoAirflowError
    from bench.figure import BenchError
    from bench.session import PARTS, Session, report
    from bench.sizes import QUICK, Sizes

    parser = argparse.ArgumentParser("bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, samples and profiles there")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part (may be repeated)")
    parser.add_argument("--profile", action="store_true", help="also show where parsing spends its time")
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that the stack is stopped on the way out

    session = Session(QUICK if options.quick else Sizes(), tuple(options.only or PARTS))
    try:
        session.run()
    except (BenchError, ArgoAirflowError) as error:
        report(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    print(session.text(profile=options.profile))
    if options.json:
        options.json.write_text(json.dumps(session.json(), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    bootstrap.enter([str(ROOT / "bench"), *sys.argv[1:]], programs=["bwrap"])
    sys.exit(main(sys.argv[1:]))
