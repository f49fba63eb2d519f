"""Short pods: the same shape of work as Argo YAML and as hand-written KubernetesPodOperator tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from argo_airflow.stack.stack import Stack
from bench.figure import Figure
from bench.runs import Sample, measure
from bench.sizes import Sizes

FAIR, DEFAULTS = "KPO", "KPO, its own defaults"
PLAIN = "KPO, preimport off"


BARE = ("argo-chain", "kpo-chain", "argo-fan-out", "kpo-fan-out")
PARAMETER = ("argo-chain-parameter", "kpo-chain-xcom")
WARM_UP = ("argo-warm-up", "kpo-warm-up")


@dataclass
class Samples:
    """Seconds per task, by DAG, in the order they were measured."""

    sizes: Sizes
    report: Callable[[str], None]
    by_dag: dict[str, list[Sample]] = field(default_factory=dict)

    def take(self, stack: Stack, dag_ids: Sequence[str], rounds: int) -> None:
        """Run the DAGs in turn (A, B, A, B …), so that what else the machine does meets all of them."""
        for number in range(rounds):
            for dag_id in dag_ids:
                sample = measure(stack, dag_id).per(self.sizes.pods(dag_id))
                text = f"{sample.wall:.2f} s, worker CPU {sample.worker:.2f} s a task"
                self.report(f"  {dag_id} {number + 1}/{rounds}: {text}")
                self.by_dag.setdefault(dag_id, []).append(sample)

    def wall(self, dag_id: str) -> tuple[float, ...]:
        """Seconds by the clock."""
        return tuple(sample.wall for sample in self.by_dag[dag_id])

    def worker(self, dag_id: str) -> tuple[float, ...]:
        """Processor seconds of the task processes."""
        return tuple(sample.worker for sample in self.by_dag[dag_id])


def warm_up(stack: Stack, samples: Samples) -> None:
    """Let the executor fork its workers and everything be read once; nothing is kept."""
    Samples(samples.sizes, samples.report).take(stack, WARM_UP, 1)


def against_kpo(stack: Stack, samples: Samples) -> list[Figure]:
    """Ours against KubernetesPodOperator with fair settings, and once with its own defaults."""
    sizes = samples.sizes
    samples.take(stack, (*BARE, *PARAMETER), sizes.rounds)
    samples.take(stack, ("kpo-chain-defaults",), 1)
    chain, fan_out = f"chain of {sizes.chain}", f"fan-out of {sizes.fan_out}"
    rows = (
        (f"{chain}, bare pods", "argo-chain", "kpo-chain", FAIR),
        (f"{chain}, bare pods", "argo-chain", "kpo-chain-defaults", DEFAULTS),
        (f"{fan_out}, bare pods", "argo-fan-out", "kpo-fan-out", FAIR),
        (f"{chain}, a parameter handed on", "argo-chain-parameter", "kpo-chain-xcom", f"{FAIR}, XCom sidecar"),
    )
    return [figure for what, ours, theirs, who in rows for figure in _pair(what, samples, ours, samples, theirs, who)]


def fork_inheritance(on: Samples, off: Samples) -> list[Figure]:
    """The same with ``[argo] preimport`` on and off; KPO with it off is what Airflow does without this project."""
    rows = (
        (f"chain of {on.sizes.chain}, preimport on", "argo-chain", "kpo-chain"),
        (f"fan-out of {on.sizes.fan_out}, preimport on", "argo-fan-out", "kpo-fan-out"),
    )
    return [
        figure
        for what, ours, theirs in rows
        for figure in (*_pair(what, on, ours, off, ours, "preimport off"), *_pair(what, on, ours, off, theirs, PLAIN))
    ]


def _pair(what: str, ours: Samples, our_dag: str, theirs: Samples, their_dag: str, who: str) -> tuple[Figure, Figure]:
    return (
        Figure(f"{what}: wall", "s/task", ours.wall(our_dag), who, theirs.wall(their_dag)),
        Figure(f"{what}: worker CPU", "s/task", ours.worker(our_dag), who, theirs.worker(their_dag)),
    )
