"""Check workflow files, without Airflow.

Exit code: 0 no errors, 1 errors, 2 a path cannot be read. In folders all *.yaml, *.yml and *.json that hold Argo
workflows are checked; a file named on its own is always read; - is the standard input.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from argo_airflow.compiler.parse import is_argo
from argo_airflow.compiler.plan import plan
from argo_airflow.compiler.resolve import resolve
from argo_airflow.compiler.validate import check
from argo_airflow.errors import Diagnostic, InvalidWorkflow

_SUFFIXES = (".yaml", ".yml", ".json")
_WIDEST = 160
_RED, _YELLOW, _BOLD, _PLAIN = "\033[31m", "\033[33m", "\033[1m", "\033[0m"


@dataclass(frozen=True)
class _File:
    name: str
    content: bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder, or - for the standard input")
    parser.add_argument("-o", "--output", choices=("pretty", "simple"), default="pretty", help="how to print faults")


def run(args: argparse.Namespace) -> int:
    """Check the files, print what is wrong and a line of counts."""
    missing = [path for path in args.paths if path != "-" and not Path(path).exists()]
    for path in missing:
        print(f"argo-airflow lint: {path}: no such file or folder", file=sys.stderr)
    if missing:
        return 2
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    files = errors = warnings = 0
    unreadable = False
    for file in _files(args.paths):
        if isinstance(file, OSError):
            print(f"argo-airflow lint: {file.filename}: {file.strerror}", file=sys.stderr)
            unreadable = True
            continue
        found = diagnose(file.content, file.name)
        files += 1
        errors += sum(one.severity == "error" for one in found)
        warnings += sum(one.severity != "error" for one in found)
        lines = file.content.decode("utf-8", "replace").splitlines() if args.output == "pretty" else ()
        for one in found:
            print(render(one, lines, colour) if lines else one)
    print(_counts(files, errors, warnings))
    return 2 if unreadable else 1 if errors else 0


def diagnose(content: bytes | str, name: str) -> list[Diagnostic]:
    """All faults of one file, from parse to plan."""
    documents, found = check(content, name)
    if any(one.severity == "error" for one in found):
        return found
    for document in documents:
        try:
            plan(resolve(document.workflow))
        except InvalidWorkflow as error:
            found += error.diagnostics
    return sorted(found)


def render(diagnostic: Diagnostic, lines: Sequence[str], colour: bool = False) -> str:
    """A fault with the line where it stands and a mark under the place."""
    place = diagnostic.position
    tint = (_RED if diagnostic.severity == "error" else _YELLOW) if colour else ""
    bold, plain = (_BOLD, _PLAIN) if colour else ("", "")
    message = f"{bold}{place}{plain}: {tint}{diagnostic.severity}{plain}: {diagnostic.message} [{diagnostic.code}]"
    shown = [message]
    margin = len(str(place.line))
    if 0 < place.line <= len(lines):
        text = lines[place.line - 1]
        start = max(0, place.column - _WIDEST // 2) if len(text) > _WIDEST else 0
        before = "".join("\t" if char == "\t" else " " for char in text[start : place.column - 1])
        shown.append(f" {place.line} | {text[start : start + _WIDEST]}")
        shown.append(f" {' ' * margin} | {before}{tint}^{plain}")
    if diagnostic.path:
        shown.append(f" {' ' * margin} = at {diagnostic.path}")
    if diagnostic.hint:
        shown.append(f" {' ' * margin} = hint: {diagnostic.hint}")
    return "\n".join(shown) + "\n"


def _files(paths: Sequence[str]) -> Iterator[_File | OSError]:
    for path in paths:
        if path == "-":
            yield _File("<stdin>", sys.stdin.buffer.read())
            continue
        one = Path(path)
        inside = sorted(p for p in one.rglob("*") if p.suffix in _SUFFIXES and p.is_file()) if one.is_dir() else [one]
        for file in inside:
            try:
                content = file.read_bytes()
            except OSError as error:
                yield error
                continue
            if file == one or is_argo(content):
                yield _File(str(file), content)


def _counts(files: int, errors: int, warnings: int) -> str:
    found = f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}" if errors or warnings else "no faults"
    return f"{_plural(files, 'file')} checked: {found}"


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
