"""Outputs of a loop's items together (Argo: controller/operator.go:3743-3857, semantics: only items that Succeeded)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from argo_airflow.errors import NodeError

_STRING_OR_BLANK = re.compile(r'"(?:[^"\\]|\\.)*"|\s+')


class AggregationError(NodeError):
    """The items' outputs do not fit together."""


def aggregate_results(results: Iterable[str]) -> str:
    """``outputs.result`` of a loop: a JSON list; each item's result must be JSON and is embedded as it is.

    Raises:
        AggregationError: a result is not JSON.
    """
    return f"[{','.join(_compact(index, text) for index, text in enumerate(results))}]"


def aggregate_parameters(children: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Output parameters of a loop, by variable name.

    ``outputs.parameters`` is the list of maps; ``outputs.parameters.X`` the list of X: embedded where *all* values are
    JSON lists or maps, texts otherwise (numbers stay texts: ``["1","2"]``).
    """
    maps = [dict(sorted(child.items())) for child in children]
    found = {"outputs.parameters": _dump(maps)}
    for name in dict.fromkeys(key for one in maps for key in one):
        values = [one[name] for one in maps if name in one]
        embedded = all(map(_is_structure, values))
        found[f"outputs.parameters.{name}"] = f"[{','.join(map(_strip, values))}]" if embedded else _dump(values)
    return found


def _compact(index: int, text: str) -> str:
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise AggregationError(f"outputs.result of item {index} is not JSON: {shown!r}: {error}") from None
    return _strip(text)


def _strip(text: str) -> str:
    """JSON without blanks between its parts, everything else as written."""
    return _STRING_OR_BLANK.sub(lambda match: match[0] if match[0].startswith('"') else "", text)


def _is_structure(text: str) -> bool:
    try:
        return isinstance(json.loads(text, parse_constant=_refuse), list | dict)
    except (ValueError, RecursionError):
        return False


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
