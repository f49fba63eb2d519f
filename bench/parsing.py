"""Parsing large DAG files as Airflow's DAG processor does it, in a process of its own: ``python -m bench.parsing``.

Everything is imported before the clock starts, as it is in the DAG processor's forked children (with preimport).
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import os
import pstats
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.figure import BenchError, Figure

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {"dag": ("large-dag.yaml", "large_dag.py"), "steps": ("large-steps.yaml", "large_steps.py")}
_TOP = 10
_DIRECTORY = len(str(ROOT)) + 1


def parse(folder: Path, home: Path, tasks: int, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """Figures of the files that ``workflows.write_large`` made, and the profile of ours.

    Args:
        home: an empty folder for Airflow's configuration and logs; no database is used.

    Raises:
        BenchError: a file does not parse.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "0",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", "bench.parsing", str(folder), "--rounds", str(rounds)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise BenchError("parsing failed; see above")
    result = json.loads(done.stdout.splitlines()[-1])
    figures = []
    for shape in SHAPES:
        for kind in ("parse", "serialize"):
            ours, theirs = (tuple(result["seconds"][f"{shape} {who} {kind}"]) for who in ("ours", "theirs"))
            figures.append(Figure(f"{kind} {tasks:,} tasks ({shape})", "CPU s", ours, "KPO in Python", theirs))
    return figures, result["profile"]


def main() -> None:
    """Measure one folder and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    from argo_airflow.airflow_dags import importer, process

    importer.install()
    process.preimport("dag-processor")
    seconds: dict[str, list[float]] = {}
    _round(options.folder, {})  # what is imported and cached at the first use
    for _ in range(options.rounds):
        _round(options.folder, seconds)
    profile = {shape: _profile(options.folder / files[0]) for shape, files in SHAPES.items()}
    print(json.dumps({"seconds": seconds, "profile": profile}))


def _round(folder: Path, seconds: dict[str, list[float]]) -> None:
    """Parse and serialize each file once, ours and theirs in turn."""
    for shape, files in SHAPES.items():
        for who, name in zip(("ours", "theirs"), files, strict=True):
            parsed, taken = _clocked(partial(_import, folder / name))
            seconds.setdefault(f"{shape} {who} parse", []).append(taken)
            _, taken = _clocked(partial(_serialize, parsed))
            seconds.setdefault(f"{shape} {who} serialize", []).append(taken)


def _import(file: Path) -> Any:
    """The one DAG of a file, by the importer that Airflow has for it."""
    from airflow.dag_processing.importers import get_importer_registry

    importer = get_importer_registry().get_importer(str(file))
    assert importer is not None
    found = importer.import_file(str(file), bundle_path=file.parent, bundle_name="bench", safe_mode=False)
    if found.errors or len(found.dags) != 1:
        sys.exit(f"{file}: {len(found.dags)} DAGs, errors: {found.errors}")
    return found.dags[0]


def _serialize(dag: Any) -> int:
    """Length of what Airflow stores of a DAG."""
    from airflow.serialization.serialized_objects import DagSerialization

    return len(json.dumps(DagSerialization.to_dict(dag)))


def _clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the work gives, and its processor seconds: on a quiet machine the same as by the clock."""
    gc.collect()
    begin = time.process_time()
    result = work()
    return result, time.process_time() - begin


def _profile(file: Path) -> list[dict[str, Any]]:
    """The functions in which most time is spent while a file is parsed and serialized."""
    profiler = cProfile.Profile()
    profiler.runcall(lambda: _serialize(_import(file)))
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    lines = [
        {"function": _place(where), "calls": calls, "own": own, "total": total}
        for where, (_, calls, own, total, _) in stats.items()
    ]
    return sorted(lines, key=lambda line: -line["own"])[:_TOP]


def _place(where: tuple[str, int, str]) -> str:
    file, line, function = where
    shown = file.rpartition("site-packages/")[2]
    return f"{shown[_DIRECTORY:] if shown.startswith(str(ROOT)) else shown}:{line} {function}"


if __name__ == "__main__":
    main()
