"""``argo-airflow VERB``: one verb a module, imported when it is asked for.

A verb's module has ``add_arguments(parser)`` and ``run(args) -> int`` (the exit code); its docstring's first line is
its help.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from argo_airflow import __version__
from argo_airflow.errors import ArgoAirflowError

VERBS = {
    "up": "argo_airflow.cli.up",
    "submit": "argo_airflow.cli.submit",
    "watch": "argo_airflow.cli.watch",
    "lint": "argo_airflow.cli.lint",
    "compile": "argo_airflow.cli.compile",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0 done, 1 it failed, 2 wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if words else 2
    if words[0] in ("-V", "--version", "version"):
        print(f"argo-airflow {__version__}")
        return 0
    if words[0] not in VERBS or _file(VERBS[words[0]]) is None:
        near = difflib.get_close_matches(words[0], VERBS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(VERBS)}"
        print(f"argo-airflow: unknown verb {words[0]!r}; {hint}", file=sys.stderr)
        return 2
    return _run(words[0], words[1:])


def _run(verb: str, words: list[str]) -> int:
    module = importlib.import_module(VERBS[verb])
    parser = argparse.ArgumentParser(prog=f"argo-airflow {verb}", description=module.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(parser)
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    try:
        code = module.run(args)
        sys.stdout.flush()
        return code
    except ArgoAirflowError as error:
        print(f"argo-airflow {verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _help() -> str:
    files = {verb: file for verb, module in VERBS.items() if (file := _file(module)) is not None}
    lines = ["usage: argo-airflow VERB [...]", "", "Argo Workflows YAML on Apache Airflow.", ""]
    lines += [f"  {verb:<9} {_summary(file)}" for verb, file in files.items()]
    return "\n".join([*lines, "", "argo-airflow VERB --help shows a verb's options."])


def _file(module: str) -> Path | None:
    found = importlib.util.find_spec(module)
    return Path(found.origin) if found and found.origin else None


def _summary(file: Path) -> str:
    """First line of a module's docstring, read without importing the module."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]
