"""One measuring session: temporary folders, the stack started as often as needed, and the result."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from argo_airflow.stack.component import Component
from argo_airflow.stack.ports import some_free
from argo_airflow.stack.stack import Stack
from bench import crawler, parsing, pods, workflows
from bench.figure import Figure, table
from bench.sizes import Sizes

PARTS = ("parse", "pods", "preimport", "crawler")
_PREIMPORT = "AIRFLOW__ARGO__PREIMPORT"


def report(line: str) -> None:
    """Progress, on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


@dataclass
class Session:
    """Measures the given parts; ``figures`` grows as they are done."""

    sizes: Sizes
    parts: Sequence[str] = PARTS
    figures: list[Figure] = field(default_factory=list)
    samples: dict[str, pods.Samples] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def run(self) -> None:
        """Measure everything; leaves no process and no folder behind.

        Raises:
            BenchError: a part could not be measured.
            LocalRuntimeError: the stack did not start.
        """
        with tempfile.TemporaryDirectory(prefix="argo-airflow-bench-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            if "parse" in self.parts:
                self._parse(folder)
            if set(self.parts) - {"parse"}:
                workflows.write_runs(folder / "dags", self.sizes)
                self._with_preimport(folder)
            if "preimport" in self.parts:
                self._without_preimport(folder)

    def _parse(self, folder: Path) -> None:
        report(f"parse: files of {self.sizes.parse_tasks:,} tasks")
        workflows.write_large(folder / "large", self.sizes.parse_tasks)
        (folder / "parse").mkdir()
        figures, self.profile = parsing.parse(
            folder / "large", folder / "parse", self.sizes.parse_tasks, self.sizes.parse_rounds
        )
        self.figures += figures

    def _with_preimport(self, folder: Path) -> None:
        port = some_free(1)[0]
        samples = self.samples["preimport"] = pods.Samples(self.sizes, report)
        with _stack(folder, preimport=True, companions=[crawler.page_api(port)]) as stack:
            if {"pods", "preimport"} & set(self.parts):
                pods.warm_up(stack, samples)
            if "pods" in self.parts:
                self.figures += pods.against_kpo(stack, samples)
            elif "preimport" in self.parts:
                samples.take(stack, pods.BARE, self.sizes.rounds)
            if "crawler" in self.parts:
                report(f"  crawler of {self.sizes.pages} pages")
                self.figures += crawler.crawl(stack, port, self.sizes.pages)

    def _without_preimport(self, folder: Path) -> None:
        samples = self.samples["no preimport"] = pods.Samples(self.sizes, report)
        with _stack(folder, preimport=False) as stack:
            pods.warm_up(stack, samples)
            samples.take(stack, pods.BARE, self.sizes.slow_rounds)
        self.figures += pods.fork_inheritance(self.samples["preimport"], samples)

    def text(self, *, profile: bool = False) -> str:
        """The table, under a line on the machine and the settings; on request the profile of parsing."""
        about = self._about()
        lines = [
            ", ".join(f"{name} {value}" for name, value in about.items()),
            f"Medians. KPO is given: `{workflows.FAIR}`; by its own defaults: `{workflows.OWN_DEFAULTS}`.",
            "",
            table(self.figures),
        ]
        for shape, functions in self.profile.items() if profile else ():
            lines += ["", f"Where parsing spends its time ({shape}), under a profiler:", ""]
            lines += [
                f"{f['own']:8.3f} s own {f['total']:8.3f} s total {f['calls']:9,} × {f['function']}" for f in functions
            ]
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """All there is."""
        return {
            "machine": self._about(),
            "sizes": asdict(self.sizes),
            "kpo": {"fair": workflows.FAIR, "defaults": workflows.OWN_DEFAULTS},
            "figures": [figure.json() for figure in self.figures],
            "samples": {
                name: {dag_id: [asdict(sample) for sample in found] for dag_id, found in samples.by_dag.items()}
                for name, samples in self.samples.items()
            },
            "profile": self.profile,
        }

    def _about(self) -> dict[str, object]:
        names = {"Airflow": "apache-airflow-core", "KPO": "apache-airflow-providers-cncf-kubernetes"}
        versions = {name: version(package) for name, package in names.items()}
        return {
            "Python": platform.python_version(),
            **versions,
            "cores": os.cpu_count(),
            "load average at the start": round(self.load, 1),
        }


@contextmanager
def _stack(folder: Path, *, preimport: bool, companions: Sequence[Component] = ()) -> Iterator[Stack]:
    """The stack, with ``[argo] preimport`` on or off; the second start goes on with the first one's data."""
    report(f"stack, preimport {'on' if preimport else 'off'}")
    before = os.environ.get(_PREIMPORT)
    os.environ[_PREIMPORT] = str(preimport)
    try:
        with Stack(
            folder / "home", folder / "dags", ui_port=some_free(1)[0], companions=companions, report=report
        ) as stack:
            yield stack
    finally:
        if before is None:
            del os.environ[_PREIMPORT]
        else:
            os.environ[_PREIMPORT] = before
