"""``python3 -m argo_airflow``: the command line; from a clone it first sets up what it needs."""

import sys

from argo_airflow.stack import bootstrap

if __name__ == "__main__":
    bootstrap.enter(["-m", "argo_airflow", *sys.argv[1:]], programs=["bwrap"] if "up" in sys.argv[1:2] else [])

    from argo_airflow.cli import main

    sys.exit(main())
