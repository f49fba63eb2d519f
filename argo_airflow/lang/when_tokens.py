"""The words of a ``when`` condition (govaluate: parsing.go, lexerState.go), with its rules of what may follow what."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_QUOTES = "'\""
_MODIFIERS = frozenset(("+", "-", "*", "/", "%", "**", "&", "|", "^", ">>", "<<"))
_COMPARATORS = frozenset(("==", "!=", ">", ">=", "<", "<=", "=~", "!~"))
_KINDS = (
    {sign: "MODIFIER" for sign in _MODIFIERS}
    | {sign: "COMPARATOR" for sign in _COMPARATORS}
    | {"&&": "LOGICALOP", "||": "LOGICALOP", "?": "TERNARY", ":": "TERNARY", "??": "TERNARY"}
)

_VALUES = frozenset(("NUMERIC", "BOOLEAN", "VARIABLE", "STRING", "TIME"))
_AFTER_VALUE = frozenset(("MODIFIER", "COMPARATOR", "LOGICALOP", "CLAUSE_CLOSE", "TERNARY", "SEPARATOR"))
_NEXT = dict.fromkeys(_VALUES, _AFTER_VALUE) | {
    "UNKNOWN": _VALUES | {"PREFIX", "CLAUSE"},
    "CLAUSE": _VALUES | {"PREFIX", "CLAUSE", "CLAUSE_CLOSE"},
    "CLAUSE_CLOSE": _VALUES | _AFTER_VALUE | {"CLAUSE"},
    "MODIFIER": (_VALUES - {"TIME"}) | {"PREFIX", "CLAUSE", "CLAUSE_CLOSE"},
    "COMPARATOR": _VALUES | {"PREFIX", "CLAUSE", "CLAUSE_CLOSE"},
    "LOGICALOP": _VALUES | {"PREFIX", "CLAUSE", "CLAUSE_CLOSE"},
    "PREFIX": frozenset(("NUMERIC", "BOOLEAN", "VARIABLE", "CLAUSE", "CLAUSE_CLOSE")),
    "TERNARY": _VALUES | {"PREFIX", "CLAUSE", "SEPARATOR"},
    "SEPARATOR": _VALUES | {"PREFIX", "CLAUSE"},
}
_MAY_END = _VALUES | {"CLAUSE_CLOSE"}

_TIMES = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%dT%H:%M%z",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%I:%M%p",
    "%a %b %d %H:%M:%S %Y",
)


class WhenSyntaxError(Exception):
    """The condition cannot be read; the message is govaluate's."""


@dataclass(frozen=True)
class Token:
    """One word: govaluate's kind, the text of an operator, the value of a literal."""

    kind: str
    text: str
    value: Any = None

    @property
    def operator(self) -> bool:
        """Whether it stands between two values."""
        return self.kind in ("MODIFIER", "COMPARATOR", "LOGICALOP", "TERNARY")


def tokenize(text: str) -> tuple[Token, ...]:
    """The words of a condition, in an order that makes sense.

    Raises:
        WhenSyntaxError: as worded by govaluate.
    """
    tokens = _Lexer(text).run()
    last = tokens[-1].kind if tokens else "UNKNOWN"
    if last not in _MAY_END:
        raise WhenSyntaxError("Unexpected end of expression")
    depth = sum((token.kind == "CLAUSE") - (token.kind == "CLAUSE_CLOSE") for token in tokens)
    if depth:
        raise WhenSyntaxError("Unbalanced parenthesis")
    # the second reading, unquoted words now being texts: `!word` makes no sense any more
    for before, token in itertools.pairwise(tokens):
        if before.kind == "PREFIX" and token.kind == "VARIABLE":
            raise WhenSyntaxError(f"Cannot transition token types from PREFIX [{before.text}] to STRING [{token.text}]")
    return tuple(tokens)


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.tokens: list[Token] = []
        self.depth = 0

    def run(self) -> list[Token]:
        while True:
            while self.at < len(self.text) and self.text[self.at].isspace():
                self.at += 1
            if self.at >= len(self.text):
                return self.tokens
            token = self._next(self.text[self.at])
            self._check(token)
            self.tokens.append(token)

    @property
    def _state(self) -> str:
        return self.tokens[-1].kind if self.tokens else "UNKNOWN"

    def _check(self, token: Token) -> None:
        last = self.tokens[-1] if self.tokens else None
        self.depth += (token.kind == "CLAUSE") - (token.kind == "CLAUSE_CLOSE")
        if self.depth < 0:
            raise WhenSyntaxError("Unbalanced parenthesis")
        if token.kind in _NEXT[self._state]:
            return
        if last and last.kind == "VARIABLE" and token.kind == "CLAUSE":
            raise WhenSyntaxError(f"Undefined function {last.text}")
        before = f"{last.kind} [{last.text}]" if last else "UNKNOWN [<nil>]"
        raise WhenSyntaxError(f"Cannot transition token types from {before} to {token.kind} [{token.text}]")

    def _next(self, char: str) -> Token:
        if char.isdigit() or char == ".":
            return self._number()
        if char in ",()":
            self.at += 1
            return Token({",": "SEPARATOR", "(": "CLAUSE", ")": "CLAUSE_CLOSE"}[char], char)
        if char == "[":
            return self._bracketed()
        if char.isalpha():
            return self._word()
        if char in _QUOTES:
            return self._string()
        return self._operator()

    def _take(self, wanted: Callable[[str], bool], blanks: bool = False) -> str:
        """Characters while ``wanted``; a backslash takes the next one as it is."""
        taken = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\\" and self.at + 1 < len(self.text):
                taken.append(self.text[self.at + 1])
                self.at += 2
                continue
            if (not blanks and char.isspace()) or not wanted(char):
                break
            taken.append(char)
            self.at += 1
        return "".join(taken)

    def _number(self) -> Token:
        match = re.compile(r"0x([0-9a-fA-F]+)").match(self.text, self.at)
        if match:
            self.at = match.end()
            return Token("NUMERIC", match[0], float(int(match[1], 16)))
        text = self._take(lambda char: char.isdigit() or char == ".")
        try:
            return Token("NUMERIC", text, float(text))
        except ValueError:
            raise WhenSyntaxError(f"Unable to parse numeric value '{text}' to float64") from None

    def _bracketed(self) -> Token:
        self.at += 1
        text = self._take(lambda char: char != "]", blanks=True)
        if self.at >= len(self.text):
            raise WhenSyntaxError("Unclosed parameter bracket")
        self.at += 1
        return Token("VARIABLE", text, text)

    def _word(self) -> Token:
        text = self._take(lambda char: char.isalpha() or char.isdigit() or char in "_.")
        if text in ("true", "false"):
            return Token("BOOLEAN", text, text == "true")
        if text in ("in", "IN"):
            return Token("COMPARATOR", "in")
        if text.endswith("."):
            raise WhenSyntaxError(f"Hanging accessor on token '{text}'")
        if "." in text[1:]:
            # a field of an object: there are none in a condition
            raise WhenSyntaxError(f"Invalid token: '{text}': No parameter '{text.partition('.')[0]}' found.")
        return Token("VARIABLE", text, text)

    def _string(self) -> Token:
        self.at += 1
        text = self._take(lambda char: char not in _QUOTES, blanks=True)
        if self.at >= len(self.text):
            raise WhenSyntaxError("Unclosed string literal")
        self.at += 1
        seconds = _time(text)
        return Token("STRING", text, text) if seconds is None else Token("TIME", text, seconds)

    def _operator(self) -> Token:
        text = self._take(lambda char: not (char.isalnum() or char in "()[]" or char in _QUOTES))
        if text in ("-", "!", "~") and "PREFIX" in _NEXT[self._state]:
            return Token("PREFIX", text)
        if text not in _KINDS:
            raise WhenSyntaxError(f"Invalid token: '{text}'")
        return Token(_KINDS[text], text)


def _time(text: str) -> float | None:
    """Seconds since 1970 of a quoted text that looks like a time, as govaluate takes it (parsing.go tryParseTime)."""
    if not re.search(r"\d[-:]\d", text):
        return None
    for form in _TIMES:
        try:
            found = datetime.strptime(text, form)
        except ValueError:
            continue
        return float(int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()))
    return None
