"""``when``: Argo's conditions, which are govaluate's after each unquoted word has become a text.

Argo: workflow/controller/steps.go:384-420; the language: github.com/Knetic/govaluate (parsing.go, evaluationStage.go).
An expression is read into a tree of :class:`_Node` by precedence, all operators grouping to the left as govaluate's do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from argo_airflow.errors import NodeError
from argo_airflow.lang.when_tokens import Token, WhenSyntaxError, tokenize

_LEVELS = (("?", ":", "??"), ("||",), ("&&",), ("==", "!=", ">", ">=", "<", "<=", "=~", "!~", "in"))
_MORE_LEVELS = (("&", "|", "^"), (">>", "<<"), ("+", "-"), ("*", "/", "%"), ("**",))
_PRECEDENCE = {sign: level for level, signs in enumerate(_LEVELS + _MORE_LEVELS) for sign in signs}


class WhenError(NodeError):
    """The condition cannot be read or evaluated; ``hint`` is the next thing to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(f"{message} (hint: {hint})" if hint else message)


class _Fault(Exception):
    """What is wrong, without the expression's text."""


@dataclass(frozen=True)
class _Node:
    """An operator with its sides, or (``sign`` empty) a value in ``left``."""

    sign: str
    left: Any = None
    right: Any = None


_SHORT = object()
"""Stands for a side that was not evaluated."""


def evaluate(text: str) -> bool:
    """Whether the condition, its tags already substituted, is true; an empty one is.

    Raises:
        WhenError: bad syntax, operands of wrong types, a result that is not a boolean; as worded by Argo.
    """
    if not text:
        return True
    try:
        tree = _read(text)
        result = _value(tree)
    except (WhenSyntaxError, _Fault) as error:
        stage = "Invalid 'when' expression" if isinstance(error, WhenSyntaxError) else "Failed to evaluate 'when'"
        raise WhenError(f"{stage} '{text}': {error}", _hint(error)) from None
    except RecursionError:
        raise WhenError(f"Invalid 'when' expression '{text[:60]}…': nested too deeply") from None
    if not isinstance(result, bool):
        hint = "compare it: x == y" if isinstance(result, str) else ""
        raise WhenError(f"Expected boolean evaluation for '{text}'. Got {_show(result)}", hint)
    return result


def check(text: str) -> None:
    """Read the condition without evaluating it.

    Raises:
        WhenError: bad syntax.
    """
    try:
        if text:
            _read(text)
    except WhenSyntaxError as error:
        raise WhenError(f"Invalid 'when' expression '{text}': {error}", _hint(error)) from None
    except RecursionError:
        raise WhenError(f"Invalid 'when' expression '{text[:60]}…': nested too deeply") from None


def _hint(error: Exception) -> str:
    wanted = ("Invalid token", "Cannot transition", "Unexpected end", "Undefined function", "not a number")
    return 'try wrapping the affected expression in quotes (")' if str(error).startswith(wanted) else ""


def _read(text: str) -> _Node:
    tokens = tokenize(text)
    node, at = _binary(tokens, 0, 0)
    if at < len(tokens):
        raise WhenSyntaxError(f"Unexpected '{tokens[at].text}'")
    return node


def _binary(tokens: tuple[Token, ...], at: int, level: int) -> tuple[_Node, int]:
    left, at = _unary(tokens, at)
    while at < len(tokens) and (found := _PRECEDENCE.get(tokens[at].text if tokens[at].operator else "", -1)) >= level:
        right, after = _binary(tokens, at + 1, found + 1)
        left, at = _Node(tokens[at].text, left, right), after
    return left, at


def _unary(tokens: tuple[Token, ...], at: int) -> tuple[_Node, int]:
    if at >= len(tokens):
        raise WhenSyntaxError("Unexpected end of expression")
    token = tokens[at]
    if token.kind == "PREFIX":
        of, at = _unary(tokens, at + 1)
        return _Node(f"prefix {token.text}", of), at
    if token.kind == "CLAUSE":
        return _clause(tokens, at + 1)
    return _Node("", token.value), at + 1


def _clause(tokens: tuple[Token, ...], at: int) -> tuple[_Node, int]:
    parts = []
    while at < len(tokens) and tokens[at].kind != "CLAUSE_CLOSE":
        if tokens[at].kind == "SEPARATOR":
            at += 1
            continue
        part, at = _binary(tokens, at, 0)
        parts.append(part)
    if not parts:
        raise WhenSyntaxError("Unexpected empty parentheses")
    return (parts[0] if len(parts) == 1 else _Node("list", tuple(parts))), at + 1


def _value(node: _Node) -> Any:
    """Evaluate iteratively to the left, so that a long chain of operators needs no deep stack."""
    chain = []
    while node.sign and node.sign != "list" and not node.sign.startswith("prefix"):
        chain.append(node)
        node = node.left
    value = _leaf(node)
    for one in reversed(chain):
        value = _apply(one, value)
    return value


def _leaf(node: _Node) -> Any:
    if not node.sign:
        return node.left
    if node.sign == "list":
        return tuple(_value(part) for part in node.left)
    return _prefix(node.sign.removeprefix("prefix "), _value(node.left))


def _prefix(sign: str, value: Any) -> Any:
    wanted, word = (bool, "bool") if sign == "!" else (float, "number")
    if not isinstance(value, wanted):
        raise _Fault(f"Value '{_show(value)}' cannot be used with the prefix '{sign}', it is not a {word}")
    if sign == "!":
        return not value
    return -value if sign == "-" else float(~_integer(value))


def _apply(node: _Node, left: Any) -> Any:
    sign = node.sign
    if sign in ("&&", "||"):
        _want(left, bool, sign, "logical operator", "bool")
        if left is (sign == "||"):
            return left
        right = _value(node.right)
        _want(right, bool, sign, "logical operator", "bool")
        return right
    if sign == "?":
        _want(left, bool, sign, "ternary operator", "bool")
        return _value(node.right) if left else _SHORT
    if sign in (":", "??"):
        return _value(node.right) if left is _SHORT else left
    return _binary_value(sign, left, _value(node.right))


def _binary_value(sign: str, left: Any, right: Any) -> Any:
    if sign in ("==", "!="):
        return _equal(left, right) is (sign == "==")
    if sign in ("=~", "!~"):
        return _matches(sign, left, right)
    if sign == "in":
        _want(right, tuple, sign, "comparator", "list: write at least two values, (a, b)")
        return any(_equal(left, one) for one in right)
    if sign in _ORDER:
        kind = str if isinstance(left, str) and isinstance(right, str) else float
        for side in (left, right):
            _want(side, kind, sign, "comparator", "number")
        return _ORDER[sign](left, right)
    if sign == "+" and (isinstance(left, str) or isinstance(right, str)):
        return _show(left) + _show(right)
    for side in (left, right):
        _want(side, float, sign, "modifier", "number")
    return _arithmetic(sign, left, right)


def _want(value: Any, kind: type, sign: str, role: str, word: str) -> None:
    if not isinstance(value, kind):
        raise _Fault(f"Value '{_show(value)}' cannot be used with the {role} '{sign}', it is not a {word}")


def _equal(left: Any, right: Any) -> bool:
    return type(left) is type(right) and left == right


def _matches(sign: str, left: Any, right: Any) -> bool:
    for side in (left, right):
        _want(side, str, sign, "comparator", "string")
    try:
        # Go's end of text is \z
        return (re.search(right.replace(r"\z", r"\Z"), left) is not None) is (sign == "=~")
    except re.error as error:
        raise _Fault(f"Unable to compile regexp pattern '{right}': {error}") from None


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}


def _arithmetic(sign: str, left: float, right: float) -> float:
    """Floats as in Go: division by zero gives an infinity or not-a-number, no error."""
    try:
        return _ARITHMETIC[sign](left, right)
    except ZeroDivisionError:
        return math.nan if sign == "%" or not left else math.copysign(math.inf, left)
    except (OverflowError, ValueError):
        return math.inf if sign == "**" else math.nan


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "%": math.fmod,
    "**": math.pow,
    "&": lambda left, right: float(_integer(left) & _integer(right)),
    "|": lambda left, right: float(_integer(left) | _integer(right)),
    "^": lambda left, right: float(_integer(left) ^ _integer(right)),
    "<<": lambda left, right: float(_integer(_integer(left) << min(_integer(right) % (1 << 64), 64))),
    ">>": lambda left, right: float(_integer(left) >> min(_integer(right) % (1 << 64), 64)),
}


def _integer(value: float) -> int:
    """Go's conversion to int64."""
    if not math.isfinite(value):
        return -(1 << 63)
    number = int(value) & ((1 << 64) - 1)
    return number - (1 << 64) if number >> 63 else number


def _show(value: Any) -> str:
    """A value as Go's ``%v`` prints it."""
    if value is _SHORT or value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{' '.join(map(_show, value))}]"
    if isinstance(value, float):
        if math.isinf(value):
            return "+Inf" if value > 0 else "-Inf"
        return "NaN" if math.isnan(value) else _show_number(value)
    return str(value)


def _show_number(value: float) -> str:
    if value and not 1e-4 <= abs(value) < 1e21:
        return re.sub(r"e([-+])(\d)$", r"e\g<1>0\2", repr(value).replace(".0e", "e"))
    return str(int(value)) if value.is_integer() else repr(value)
