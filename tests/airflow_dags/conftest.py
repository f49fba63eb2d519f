"""A real Airflow on a folder of its own: its command line, its DAG processor, and what these wrote to the database."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

if "AIRFLOW_HOME" not in os.environ:  # must be there before the first import of airflow
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="argo-airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


@dataclass
class Airflow:
    """One Airflow home with a SQLite database and a DAGs folder; ``python`` chooses the Airflow."""

    folder: Path
    python: str = sys.executable
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def dags(self) -> Path:
        return self.folder / "dags"

    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHON"))}
        return {
            **inherited,
            "AIRFLOW_HOME": str(self.folder / "home"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(self.folder / "bundles"),
            "PYTHONPATH": os.pathsep.join(map(str, self._python_path())),
            **self.settings,
        }

    def _python_path(self) -> list[Path]:
        installed = self.folder / "installed"
        if not installed.exists():
            # What `pip install` adds and a PYTHONPATH lacks: the entry points.
            info = installed / "argo_airflow-0.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: argo-airflow\nVersion: 0\n")
            (info / "entry_points.txt").write_text("[airflow.plugins]\nargo = argo_airflow.ui.plugin:ArgoPlugin\n")
        has_entry_point = self.python == sys.executable and entry_points(group="airflow.plugins", name="argo")
        return [REPOSITORY] if has_entry_point else [installed, REPOSITORY]

    def run(self, *arguments: str) -> str:
        """``airflow …``; returns what it printed."""
        done = subprocess.run(
            [self.python, "-m", "airflow", *arguments], env=self.environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, f"airflow {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def import_errors(self) -> dict[str, str]:
        """File → text, as ``airflow dags list-import-errors`` tells them (it ends with 1 where there are any)."""
        command = [self.python, "-m", "airflow", "dags", "list-import-errors", "-o", "json"]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True)
        printed = done.stdout[done.stdout.find("[{") :].splitlines()
        return {e["filepath"]: e["error"] for e in json.loads(printed[0])} if printed else {}

    def query(self, sql: str, *values: object) -> list[tuple]:
        """Rows of Airflow's database."""
        with contextlib.closing(sqlite3.connect(self.folder / "home" / "airflow.db", timeout=30)) as connection:
            return connection.execute(sql, values).fetchall()

    def dag_ids(self) -> set[str]:
        """The DAGs that are there, not those that were."""
        return {row[0] for row in self.query("select dag_id from dag where is_stale = 0")}

    def errors(self) -> dict[str, str]:
        """File → text of the import errors in the database."""
        return dict(self.query("select filename, stacktrace from import_error"))

    def code(self, dag_id: str) -> str:
        """The source the Code tab shows for the latest version of a DAG."""
        sql = """select c.source_code from dag_code c join dag_version v on v.id = c.dag_version_id
                 where v.dag_id = ? order by v.version_number desc limit 1"""
        return self.query(sql, dag_id)[0][0]

    def versions(self, dag_id: str) -> int:
        return self.query("select max(version_number) from dag_version where dag_id = ?", dag_id)[0][0]

    @contextlib.contextmanager
    def dag_processor(self) -> Iterator[Callable[[], str]]:
        """A DAG processor that goes on; gives a function that returns its log so far."""
        log = self.folder / "dag-processor.log"
        with log.open("w") as out:
            command = [self.python, "-m", "airflow", "dag-processor"]
            process = subprocess.Popen(command, env=self.environment(), stdout=out, stderr=out, start_new_session=True)
        try:
            yield log.read_text
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_until(condition: Callable[[], object], what: str, log: Callable[[], str]) -> None:
    """Wait for a condition; the limit only ends a test that would hang."""
    end = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < end, f"never seen: {what}\n{log()[-6000:]}"
        time.sleep(0.25)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """A new Airflow with an empty DAGs folder and nothing configured."""
    home = Airflow(tmp_path_factory.mktemp("airflow"))
    home.dags.mkdir()
    home.run("db", "migrate")
    return home


@pytest.fixture(scope="module")
def bare_airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """An Airflow without a database, where that is enough."""
    return Airflow(tmp_path_factory.mktemp("airflow"))


WORKFLOW = """\
# {name}, with a comment that only the source has
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: {name}
spec:
  entrypoint: main
  templates:
    - name: main
      container: {{image: "busybox", command: [echo], args: ["{word}"]}}
"""


def workflow(name: str, word: str = "hello") -> str:
    """A workflow of one container."""
    return WORKFLOW.format(name=name, word=word)


def broken(name: str) -> str:
    """A workflow with an unknown field in line 7."""
    return workflow(name).replace("  entrypoint: main", "  notAField: 1\n  entrypoint: main")


NOT_ARGO = "# not about argoproj.io/ at all\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"


def fill(dags: Path) -> None:
    """The folder all of Airflow's ways to find YAML are shown."""
    files = {
        "hello.yaml": workflow("hello"),
        "below/deeper.yml": workflow("deeper"),
        "several.yaml": workflow("first") + "---\n" + workflow("second") + "---\n",
        "gone-soon.yaml": workflow("gone-soon"),
        "unknown-field.yaml": broken("unknown-field"),
        "not-yaml.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: [Workflow\n",
        "not-argo.yaml": NOT_ARGO,
        "values.yaml": "image: {repository: busybox}\n",
        "mixed.yaml": NOT_ARGO + "---\n" + workflow("mixed"),
        "ignored/ignored.yaml": broken("ignored"),
        ".airflowignore": "ignored/\n",
    }
    for name, text in files.items():
        path = dags / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


FOUND = {"hello", "deeper", "first", "second", "gone-soon", "mixed"}
REFUSED = {"unknown-field.yaml", "not-yaml.yaml"}
