"""A figure, and the table and the JSON that figures make."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class BenchError(Exception):
    """A measurement could not be made; the message says why."""


@dataclass(frozen=True)
class Figure:
    """Medians of ``ours`` and of what it is compared with (``theirs``), in ``unit``, with all the samples."""

    what: str
    unit: str
    ours: tuple[float, ...]
    compared_with: str = ""
    theirs: tuple[float, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Ours ÷ theirs: less than 1 is better. None where there is nothing to compare with."""
        if not self.theirs or not statistics.median(self.theirs):
            return None
        return statistics.median(self.ours) / statistics.median(self.theirs)

    def row(self) -> str:
        """The line of the Markdown table."""
        theirs = f"{_number(statistics.median(self.theirs))} {self.compared_with}" if self.theirs else ""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return f"| {self.what} | {self.unit} | {_number(statistics.median(self.ours))} | {theirs} | {ratio} |"

    def json(self) -> dict[str, Any]:
        """All of it, samples in the order they were taken."""
        medians = {"ours": statistics.median(self.ours)}
        if self.theirs:
            medians |= {"theirs": statistics.median(self.theirs)}
        samples = {"ours": self.ours, "theirs": self.theirs}
        about = {"what": self.what, "unit": self.unit, "compared_with": self.compared_with, "ratio": self.ratio}
        return {**about, **medians, "samples": samples}


def table(figures: Sequence[Figure]) -> str:
    """One Markdown table."""
    head = "| what | unit | argo-airflow | compared with | ratio |\n|---|---|---|---|---|"
    return "\n".join([head, *(figure.row() for figure in figures)])


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
