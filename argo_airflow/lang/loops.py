"""Loops: the list of items, and how an item looks in tags and names.

Argo: pkg/apis/workflow/v1alpha1/item.go, controller/operator.go:4085-4220.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from argo_airflow.errors import NodeError
from argo_airflow.spec import Sequence, number_text

_LIMIT = 1_000_000
_VERB = re.compile(r"%(?:%|(?P<flags>[-+# 0]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<verb>.))", re.DOTALL)


class LoopError(NodeError):
    """The list of items cannot be made."""


class RawNumber(float):
    """A JSON number that keeps its spelling (``1e3``, ``1.50``): Argo inserts it as written."""

    raw: str

    def __new__(cls, raw: str) -> RawNumber:
        number = super().__new__(cls, raw)
        number.raw = raw
        return number


def items(source: str | Sequence | Iterable[Any]) -> list[Any]:
    """The items of a loop: of ``withParam`` (text), ``withSequence`` (:class:`Sequence`) or ``withItems`` (values).

    Raises:
        LoopError: as worded by Argo.
    """
    if isinstance(source, str):
        return param(source)
    if isinstance(source, Sequence):
        return list(sequence(source.count, source.start, source.end, source.format))
    return [_from_yaml(item) for item in source]


def param(text: str) -> list[Any]:
    """The items of ``withParam``; ``null`` is an empty list, as in Argo.

    Raises:
        LoopError: not a JSON list (Argo: controller/dag.go:909).
    """
    try:
        value = json.loads(text, parse_float=RawNumber, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = str(error) if text.strip() else "it is empty"
        raise LoopError(_not_a_list(text, reason)) from None
    if value is None:
        return []
    if not isinstance(value, list):
        kind = {dict: "a map", str: "a text", bool: "a boolean"}.get(type(value), "a number")
        raise LoopError(_not_a_list(text, f"it is {kind}"))
    return value


def sequence(
    count: str | None = None, start: str | None = None, end: str | None = None, format: str | None = None
) -> list[str]:
    """The items of ``withSequence``: texts; ``start`` above ``end`` counts down (Argo: controller/operator.go:4170).

    Raises:
        LoopError: both or none of count and end, a value that is no whole number, an unusable format.
    """
    if count is not None and end is not None:
        raise LoopError("only one of count or end can be defined in withSequence")
    first = _whole("start", start) if start is not None else 0
    if count is not None:
        number = _whole("count", count)
        if number < 0:
            raise LoopError(f"withSequence.count must not be negative: {number}")
        numbers = range(first, first + number)
    elif end is not None:
        last = _whole("end", end)
        numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
    else:
        raise LoopError("withSequence needs count or end")
    if len(numbers) > _LIMIT:
        raise LoopError(f"withSequence has {len(numbers):,} items, more than {_LIMIT:,}")
    return [printf(format, number) for number in numbers] if format else [str(number) for number in numbers]


def printf(format: str, number: int) -> str:
    """Go's ``fmt.Sprintf`` of one whole number.

    Raises:
        LoopError: the format does not hold exactly one verb for a whole number.
    """
    verbs = [match for match in _VERB.finditer(format) if match["verb"]]
    if len(verbs) != 1 or verbs[0]["verb"] not in "dvxXobc":
        raise LoopError(f"withSequence.format {format!r} must hold one verb for a whole number, such as %d or %03d")
    return _VERB.sub(lambda match: _print_one(match, number) if match["verb"] else "%", format)


def item_text(item: Any) -> str:
    """What ``{{item}}`` becomes: text as it is, numbers and booleans as JSON, a map with sorted keys, a list."""
    if isinstance(item, str):
        return item
    if isinstance(item, dict):
        return _json({key: item[key] for key in sorted(item)})
    return _json(item)


def item_fields(item: Any) -> dict[str, str]:
    """What ``{{item.key}}`` becomes for each key of a map; text keeps its JSON escapes (Argo: item.go:61)."""
    if not isinstance(item, dict):
        return {}
    return {key: _field(value) for key, value in item.items()}


def item_name(step: str, index: int, item: Any) -> str:
    """The node name of one item, ``step(0:text)`` (Argo: controller/operator.go:4098-4168)."""
    if isinstance(item, dict):
        text = ",".join(sorted(f"{key}:{_field(value)}" for key, value in item.items()))
    elif isinstance(item, list | tuple) or item is None:
        text = f"[{' '.join(_field(value) for value in item or ())}]"
    else:
        text = item_text(item)
    return f"{step}({index}:{text.replace('(', '').replace(')', '')})"


def _field(value: Any) -> str:
    return _json(value)[1:-1] if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    if isinstance(value, RawNumber):
        return value.raw
    if isinstance(value, dict):
        return f"{{{','.join(f'{_json(str(key))}:{_json(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_json, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _from_yaml(item: Any) -> Any:
    """A YAML value as Argo gets it through JSON: whole floats without ``.0``, keys of maps sorted."""
    if isinstance(item, dict):
        return {key: _from_yaml(item[key]) for key in sorted(item)}
    if isinstance(item, list | tuple):
        return [_from_yaml(value) for value in item]
    if isinstance(item, float) and not isinstance(item, RawNumber):
        return int(item) if item.is_integer() and abs(item) < 1e21 else RawNumber(number_text(item))
    return item


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", text):
        raise LoopError(f"withSequence.{name} {text!r} is not a whole number")
    return int(text)


def _print_one(match: re.Match[str], number: int) -> str:
    flags, verb, width = match["flags"], match["verb"], int(match["width"] or 0)
    if verb == "c":
        text = chr(number) if 0 <= number < 0x110000 else "\ufffd"
        return text.ljust(width) if "-" in flags else text.rjust(width)
    digits = format(abs(number), "d" if verb == "v" else verb)
    if match["precision"]:
        digits = digits.rjust(int(match["precision"]), "0")
    if "#" in flags:
        digits = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") + digits
    sign = "-" if number < 0 else "+" if "+" in flags else " " if " " in flags else ""
    if "-" in flags:
        return (sign + digits).ljust(width)
    if "0" in flags and not match["precision"]:
        return sign + digits.rjust(width - len(sign), "0")
    return (sign + digits).rjust(width)


def _not_a_list(text: str, reason: str) -> str:
    shown = text.strip()
    shown = shown if len(shown) <= 200 else f"{shown[:200]}…"
    return f"withParam value could not be parsed as a JSON list: {shown}: {reason}"


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
