"""The bench: its cheap part as it is started, and its arithmetic on processes and samples that are known."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import cpu, crawler, figure, workflows
from bench.pods import BARE, PARAMETER, WARM_UP, Samples
from bench.runs import Sample
from bench.sizes import QUICK, Sizes

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_prints_one_table_and_writes_json(tmp_path):
    """Compiles ours and imports the hand-written file with Airflow's own importers, in a process of its own."""
    file = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "bench"), "--quick", "--only", "parse", "--profile", "--json", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    result = json.loads(file.read_text())
    whats = [f"{kind} 30 tasks ({shape})" for shape in ("dag", "steps") for kind in ("parse", "serialize")]
    assert [row.split("|")[1].strip() for row in rows[2:]] == whats == [each["what"] for each in result["figures"]]
    for each in result["figures"]:
        assert each["ours"] > 0
        assert each["theirs"] > 0
        assert each["ratio"] == pytest.approx(each["ours"] / each["theirs"])
    assert {shape: len(functions) for shape, functions in result["profile"].items()} == {"dag": 10, "steps": 10}
    assert "argo_airflow/" in json.dumps(result["profile"])


def test_an_unknown_part_is_refused():
    done = subprocess.run([sys.executable, str(ROOT / "bench"), "--only", "all"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "invalid choice: 'all'" in done.stderr


def test_a_figure_is_the_median_and_its_ratio():
    one = figure.Figure("chain", "s/task", (9.0, 1.0, 2.0), "KPO", (4.0, 4.0, 40.0))
    assert one.ratio == 0.5
    assert one.row() == "| chain | s/task | 2 | 4 KPO | 0.50 |"
    assert one.json()["samples"] == {"ours": (9.0, 1.0, 2.0), "theirs": (4.0, 4.0, 40.0)}
    assert figure.table([one]).splitlines()[-1] == one.row()


def test_a_figure_without_a_comparison_has_no_ratio():
    assert figure.Figure("x", "s", (1.0,)).row() == "| x | s | 1 |  |  |"
    assert figure.Figure("x", "s", (1.0,), "zero", (0.0,)).ratio is None


BURN = "import os, time\nwhile sum(os.times()[:2]) < 0.4: sum(range(1000))\n"
FAMILY = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURN!r}])
child = subprocess.Popen([sys.executable, "-c", {BURN!r} + "print('burnt', flush=True); time.sleep(600)"])
child.wait()
"""


def test_cpu_counts_living_and_ended_descendants_once():
    """A process that itself only waits: one child has ended, one lives; each has used 0.4 s."""
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout.readline() == "burnt\n"
            seen = cpu.tree(parent.pid)
            assert seen.depth == 1
            # The upper bound leaves room for rounding up and for the last turn of each loop, not for counting twice.
            assert 0.78 <= seen.descendants < 1.2
            assert seen.own < 0.4
        finally:
            for pid in (*_children(parent.pid), parent.pid):
                os.kill(pid, 9)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_cpu_of_a_process_that_is_gone():
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(ProcessLookupError):
        cpu.tree(child.pid)


def test_an_ended_child_counts_when_it_is_waited_for():
    before = cpu.tree(os.getpid())
    subprocess.run([sys.executable, "-c", BURN], check=True)
    after = cpu.tree(os.getpid())
    assert after.descendants - before.descendants >= 0.38


def test_iterations_near_one():
    seconds = [float(number) for number in range(1, 200)]  # iteration n takes n seconds
    assert crawler._near(seconds, 10) == tuple(map(float, range(5, 16)))
    assert crawler._near(seconds, 190) == tuple(map(float, range(185, 196)))


def test_samples_are_per_task():
    assert Sample(wall=10, worker=5, scheduler=2, api_server=1).per(20) == Sample(0.5, 0.25, 0.1, 0.05)
    samples = Samples(QUICK, print)
    samples.by_dag["x"] = [Sample(1, 2, 3, 4), Sample(5, 6, 7, 8)]
    assert (samples.wall("x"), samples.worker("x")) == ((1, 5), (2, 6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("bench") / "dags"
    workflows.write_runs(made, Sizes(chain=4, fan_out=7, warm_up=2))
    return made


def graph(file: Path):
    from argo_airflow import compiler

    (found,) = compiler.graphs(file.read_bytes(), file.name)
    return found.dags[0]


def test_every_measured_dag_has_its_file(folder):
    ours = {graph(file).dag_id for file in folder.glob("argo-*.yaml")}
    theirs = {file.stem.replace("_", "-") for file in folder.glob("kpo_*.py")}
    assert ours | theirs == {*BARE, *PARAMETER, *WARM_UP, "kpo-chain-defaults"}
    assert graph(folder / "page-crawler.yaml").dag_id == crawler.WORKFLOW


def test_ours_and_theirs_have_the_same_shape(folder):
    """A bare pod each, no task more: what is compared is pod for pod."""
    chain = graph(folder / "argo-chain.yaml").nodes
    assert [(node.kind, node.upstream) for node in chain] == [("pod", ()), *(("pod", (f"t{i}",)) for i in range(3))]
    (fan_out,) = graph(folder / "argo-fan-out.yaml").nodes
    assert fan_out.loop is not None
    by_hand = (folder / "kpo_chain.py").read_text()
    assert by_hand.count("KubernetesPodOperator(") == 4
    assert [line.strip() for line in by_hand.splitlines() if ">>" in line] == [f"[t{i}] >> t{i + 1}" for i in range(3)]


def test_the_hand_written_files_are_python_with_the_settings_told(folder):
    for file in folder.glob("kpo_*.py"):
        ast.parse(file.read_text())
        settings = workflows.OWN_DEFAULTS if "defaults" in file.name else workflows.FAIR
        assert f"dict({settings})" in file.read_text()


def test_large_files_have_the_same_edges(tmp_path):
    workflows.write_large(tmp_path / "large", 30)
    for shape in ("dag", "steps"):
        ours = {node.name: len(node.upstream) for node in graph(tmp_path / "large" / f"large-{shape}.yaml").nodes}
        theirs = dict.fromkeys(ours, 0)
        for line in (tmp_path / "large" / f"large_{shape}.py").read_text().splitlines():
            first, arrow, name = line.strip().partition(" >> ")
            if arrow:
                theirs[name] += first.count(",") + 1
        assert ours == theirs
        assert len(ours) == 30


def test_the_bench_leaves_nothing_when_it_is_ended(tmp_path):
    """SIGTERM while the parse child runs: no process and no folder of it is left."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "bench"), "--only", "parse"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as bench:
        assert "parse: files of 1,000 tasks" in bench.stderr.readline()
        while not (children := _children(bench.pid)):
            assert bench.poll() is None
            time.sleep(0.05)
        bench.terminate()
        bench.wait()
    assert bench.returncode == 128 + 15
    assert list(tmp_path.iterdir()) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
