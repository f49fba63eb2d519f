"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of pods, pages, tasks and repetitions."""

    chain: int = 20
    fan_out: int = 100
    warm_up: int = 16
    rounds: int = 3
    slow_rounds: int = 2
    """Rounds where the import before the fork is off."""
    pages: int = 200
    parse_tasks: int = 1000
    parse_rounds: int = 5

    def pods(self, dag_id: str) -> int:
        """How many pods a DAG of ``workflows.write_runs`` runs."""
        if dag_id.endswith("warm-up"):
            return self.warm_up
        return self.fan_out if dag_id.endswith("fan-out") else self.chain


QUICK = Sizes(chain=3, fan_out=4, warm_up=2, rounds=1, slow_rounds=1, pages=21, parse_tasks=30, parse_rounds=1)
"""To see that all of it works; the figures mean nothing."""
