"""YAML text to plain data, keeping the place of every key and item.

Scalars are typed as Argo's YAML library does (sigs.k8s.io/yaml): timestamps and sexagesimal numbers are text,
``1e3`` is a number, ``010`` is octal, ``y`` is true. Keys are always text. Faults become diagnostics; what can be
mended (an invalid escape, a key given twice) is, so that the rest of the file is checked in the same go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from argo_airflow.errors import Diagnostic, Position

Path = tuple[str | int, ...]

_DEPTH, _NODES, _REPAIRS = 200, 1_000_000, 200
_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_STANDINS = "\ue000\ue001\ue002\uf8fe\uf8ff"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The C parser where there is one, with Argo's implicit types."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_BOOL = r"^(?:[yYnN]|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$"
_INT = r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)$"
_FLOAT = r"^[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$"
for _kind, _regexp, _first in (
    ("bool", _BOOL, "yYnNtTfFoO"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(_regexp), list(_first))

# problem as libyaml and PyYAML word it -> hint
_HINTS = (
    ("tab character", "indent with spaces"),
    ("mapping values are not allowed", "a value that holds `: ` must stand in quotes; or the indentation is wrong"),
    ("did not find expected key", "check the indentation; keys of one map start in the same column"),
    ("expected <block end>", "check the indentation; keys of one map start in the same column"),
    ("did not find expected '-'", "check the indentation; items of one list start in the same column"),
    ("unexpected end of stream", "a quote that is opened here is never closed"),
    ("could not find expected ':'", "a `:` is missing, or a text of several lines is not indented"),
    ("undefined alias", "a text that starts with * must stand in quotes, or the anchor (&) is missing"),
    ("expected ',' or", "a bracket or brace is not closed, or a comma is missing"),
    ("cannot start any token", "a text that starts with this character must stand in quotes"),
)


@dataclass(frozen=True)
class Source:
    """One document of a file: its data and where everything stands."""

    file: str
    data: Any
    node: yaml.Node
    lines: tuple[str, ...]

    def position(self, path: Path) -> Position:
        """Place of the key or item at ``path``, or of its nearest parent."""
        mark = self.node.start_mark
        for key, node in self._walk(path):
            mark = (key or node).start_mark
        return _position(self.file, mark)

    def locate(self, path: Path, needle: str) -> Position:
        """Place of ``needle`` (a tag, say) within the value at ``path``; without a match the place of the value."""
        nodes = [node for _key, node in self._walk(path)]
        if not path or len(nodes) < len(path):
            return self.position(path)
        start, end = nodes[-1].start_mark, nodes[-1].end_mark
        for number in range(start.line, min(end.line, len(self.lines) - 1) + 1):
            column = self.lines[number].find(needle, start.column if number == start.line else 0)
            if column >= 0:
                return Position(self.file, number + 1, column + 1)
        return _position(self.file, start)

    def _walk(self, path: Path) -> Iterator[tuple[yaml.Node | None, yaml.Node]]:
        node = self.node
        for part in path:
            pair = _child(node, part)
            if pair is None:
                return
            yield pair
            node = pair[1]


def read(text: str | bytes, file: str) -> tuple[list[Source], list[Diagnostic]]:
    """All documents of a file, as far as they can be read, and the faults found on the way."""
    reader = _Reader(file)
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = bytes(error.object[: error.start]).split(b"\n")
            place = Position(file, len(before), len(before[-1]) + 1)
            hint = "save the file as UTF-8"
            return [], [
                Diagnostic(place, "invalid-yaml", f"not UTF-8 text: byte 0x{error.object[error.start]:02x}", hint=hint)
            ]
    reader.run(text.removeprefix("\ufeff"))
    return reader.sources, reader.diagnostics


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.sources: list[Source] = []
        self.diagnostics: list[Diagnostic] = []
        self._standin = ""
        self._left = _NODES
        self._text = ""

    def add(self, mark: Any, code: str, message: str, hint: str = "") -> None:
        self.diagnostics.append(Diagnostic(_position(self.file, mark), code, message, hint=hint))

    def run(self, text: str) -> None:
        text, nodes = self._compose(text)
        self._text = text
        lines = tuple(text.split("\n"))
        for node in nodes:
            try:
                data = self._construct(node, ())
            except _TooLargeError as error:
                self.add(error.args[0], "invalid-yaml", error.args[1])
                continue
            self.sources.append(Source(self.file, data, node, lines))

    def _compose(self, text: str) -> tuple[str, list[yaml.Node]]:
        for _ in range(_REPAIRS):
            nodes: list[yaml.Node] = []
            try:
                _check_depth(text)
                loader = _Loader(text)
                try:
                    while loader.check_node():
                        nodes.append(loader.get_node())
                finally:
                    loader.dispose()
            except yaml.MarkedYAMLError as error:
                mended = self._mend(text, error)
                if mended is None:
                    self._add_yaml_error(text, error)
                    return text, nodes
                text = mended
            except yaml.reader.ReaderError as error:
                self._add_reader_error(text, error)
                return text, nodes
            else:
                return text, nodes
        return text, nodes

    def _mend(self, text: str, error: yaml.MarkedYAMLError) -> str | None:
        """Put a stand-in over the backslash of an invalid escape, so that no column moves."""
        if "unknown escape" not in str(error.problem) or error.problem_mark is None:
            return None
        line, column = error.problem_mark.line, error.problem_mark.column
        lines = text.split("\n")
        if lines[line][column : column + 1] != "\\":  # the Python parser points behind the backslash
            column -= 1
        char = lines[line][column + 1 : column + 2]
        self._standin = self._standin or next((c for c in _STANDINS if c not in text), "")
        hint = f"write {char} without the backslash" if char == "'" else f"write \\\\{char} for a backslash, or use '…'"
        place = Position(self.file, line + 1, column + 1)
        message = f"invalid escape \\{char} between double quotes"
        self.diagnostics.append(Diagnostic(place, "invalid-escape", message, hint=hint))
        if not self._standin:
            return None
        lines[line] = lines[line][:column] + self._standin + lines[line][column + 1 :]
        return "\n".join(lines)

    def _add_yaml_error(self, text: str, error: yaml.MarkedYAMLError) -> None:
        problem = str(error.problem or error.context or error).replace("allowed in this context", "allowed here")
        if "unknown escape" in problem:
            return
        mark = error.problem_mark or error.context_mark
        if "unexpected end of stream" in problem and error.context_mark:
            mark = error.context_mark
        hint = next((hint for part, hint in _HINTS if part in problem), "")
        lines = text.split("\n")
        if mark and "cannot start any token" in problem:
            char = lines[mark.line][mark.column : mark.column + 1]
            problem = f"found {'a tab' if char == chr(9) else char} where YAML does not allow it"
            hint = "indent with spaces" if char == "\t" else hint
        context = f" {error.context}" if error.context else ""
        self.add(mark, "invalid-yaml", f"not valid YAML: {problem}{context}", hint)

    def _add_reader_error(self, text: str, error: yaml.reader.ReaderError) -> None:
        index = error.position if isinstance(error.position, int) else 0
        before = text[:index]
        place = Position(self.file, before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)
        message = f"not valid YAML: character {error.character!r} is not allowed"
        self.diagnostics.append(Diagnostic(place, "invalid-yaml", message, hint="remove the character"))

    def _construct(self, node: yaml.Node, parents: tuple[int, ...]) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooLargeError(node.start_mark, f"the aliases expand to more than {_NODES:,} values")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in parents:
            raise _TooLargeError(node.start_mark, "an alias stands inside its own anchor")
        inside = (*parents, id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self._construct(item, inside) for item in node.value]
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, inside)

    def _mapping(self, node: yaml.MappingNode, inside: tuple[int, ...]) -> dict[str, Any] | str:
        data: dict[str, Any] = {}
        places: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                written = self._text[node.start_mark.index : node.end_mark.index]
                hint = "a value that starts with {{ must stand in quotes" if written.startswith("{{") else ""
                self.add(node.start_mark, "invalid-yaml", "a map or list cannot be a key", hint)
                return written
            name = key.value
            if name in places:
                first = places[name].start_mark.line + 1
                self.add(key.start_mark, "duplicate-key", f"key `{name}` is given twice", f"it stands in line {first}")
                continue
            places[name] = key
            data[name] = self._construct(value, inside)
        for base in _merged(node):
            if not isinstance(base, yaml.MappingNode):
                self.add(base.start_mark, "invalid-yaml", "`<<` needs a map or a list of maps")
                continue
            for name, item in dict(self._construct(base, inside) or {}).items():
                data.setdefault(name, item)
        return data

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if self._standin:
            text = text.replace(self._standin, "")
        try:
            return _SCALARS.get(kind, str)(text)
        except ValueError:
            self.add(node.start_mark, "invalid-yaml", f"{text!r} is not of type {kind}")
            return None


class _TooLargeError(Exception):
    """Mark and message of a document that must not be expanded."""


def _int(text: str) -> int | float:
    plain = text.replace("_", "")
    sign = -1 if plain.startswith("-") else 1
    digits = plain.lstrip("+-")
    if len(digits) > 400:
        return sign * float(digits)
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _float(text: str) -> float:
    value = float(text.replace("_", ""))
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


_SCALARS = {"bool": lambda text: text in _TRUE, "int": _int, "float": _float, "null": lambda _text: None}


def _position(file: str, mark: Any) -> Position:
    return Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)


def _merged(node: yaml.MappingNode) -> Iterator[yaml.Node]:
    for key, value in node.value:
        if key.tag == _TAG + "merge":
            yield from value.value if isinstance(value, yaml.SequenceNode) else (value,)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode):
        return (None, node.value[part]) if isinstance(part, int) and part < len(node.value) else None
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == part and key.tag != _TAG + "merge":
            return key, value
    return next((pair for base in _merged(node) if (pair := _child(base, part))), None)


def _check_depth(text: str) -> None:
    """Refuse absurd nesting before the recursive parser meets it."""
    openers = text.count("[") + text.count("{") - 2 * text.count("{{")
    if openers < 5000 and not re.search(rf"(?:[-?:]\s+){{{_DEPTH}}}", text):
        return
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEPTH:
            problem = f"nested deeper than {_DEPTH} levels"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)  # type: ignore[arg-type]
