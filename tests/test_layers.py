"""The layer contract of the design, read from the imports: who may know whom, and how large things may grow."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "argo_airflow"
LARGEST_FILE, LARGEST_FUNCTION = 400, 60

WORKER = frozenset({"airflow", "kubernetes", "boto3", "asgiref"})
"""Packages that only what runs inside Airflow or a pod may import."""
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    # module or package: (of ours it may import, of others' it may import); the longest name that fits holds
    "errors": (set(), set()),
    "settings": ({"errors"}, set()),
    "images": ({"errors"}, {"yaml"}),
    "spec": ({"errors"}, {"pydantic", "pydantic_core"}),
    "graph": ({"errors"}, set()),
    "lang": ({"lang", "errors", "spec", "graph"}, set()),
    "compiler": ({"compiler", "lang", "errors", "spec", "graph"}, {"yaml", "pydantic"}),
    "compiler.dag": ({"graph", "runtime.operators"}, {"airflow", "yaml"}),
    "helper": ({"helper"}, {"boto3", "botocore", "ziglang", "hatchling"}),
    "local": ({"local", "images", "errors", "settings", "helper.contract"}, {"yaml", "aiohttp"}),
    "stack": ({"stack", "local", "errors", "settings", "helper.contract"}, {"yaml", "aiohttp", "boto3", "botocore"}),
    "runtime": ({"runtime", "lang", "graph", "errors", "settings", "helper.contract", "images"}, set(WORKER)),
    "airflow_dags": ({"airflow_dags", "compiler", "errors", "settings"}, {"airflow", "yaml", "pathspec", "sqlalchemy"}),
    "ui": ({"airflow_dags", "settings", "errors", "ui"}, {"airflow"}),
    "cli": ({"cli", "compiler", "graph", "errors", "spec"}, set()),
    "cli.up": ({"cli", "stack", "errors", "settings"}, set()),
    "cli.submit": ({"cli", "stack", "compiler", "errors", "settings"}, {"yaml"}),
    "cli.watch": ({"cli", "stack", "errors"}, set()),
    "cli.follow": ({"cli", "stack", "compiler", "errors"}, set()),
    "cli.tree": ({"cli", "stack", "compiler", "graph", "errors"}, {"yaml"}),
}
TOP = {"__init__": set(), "__main__": {"cli", "stack"}}
"""Modules beside the layers, and what they may import; all may read ``argo_airflow.__version__``."""


@dataclass(frozen=True)
class Import:
    """One import: where it stands, what it names, and whether it is done when the module is loaded."""

    line: int
    target: str
    at_load: bool


def modules() -> dict[str, Path]:
    """All modules of the package by their dotted name below it."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = modules()


@cache
def imports(module: str) -> tuple[Import, ...]:
    path = MODULES[module]
    package = [PACKAGE, *path.relative_to(ROOT / PACKAGE).parts[:-1]]
    return tuple(_imports(ast.parse(path.read_text()).body, package, True))


def _imports(body: list[ast.stmt], package: list[str], at_load: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, at_load) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:  # `from package import module` names the module
                inner = f"{name}.{alias.name}".removeprefix(f"{PACKAGE}.")
                yield Import(node.lineno, f"{PACKAGE}.{inner}" if inner in MODULES else name, at_load)
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from _imports(getattr(node, field, []), package, at_load and not later)


def own(target: str) -> str | None:
    """A module of ours below the package; ``""`` for the package itself; None for others'."""
    if target == PACKAGE:
        return ""
    return target.removeprefix(f"{PACKAGE}.") if target.startswith(f"{PACKAGE}.") else None


def layer(module: str) -> tuple[set[str], set[str]]:
    if module in TOP:
        return TOP[module], set()
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in LAYERS:
            return LAYERS[name]
    raise AssertionError(f"argo_airflow/{module} stands in no layer")


@pytest.mark.parametrize("module", MODULES)
def test_imports_obey_the_contract(module: str) -> None:
    ours, others = layer(module)
    wrong = []
    for one in imports(module):
        name = own(one.target)
        if name is None:
            top = one.target.partition(".")[0]
            allowed = top in sys.stdlib_module_names or top in others
        else:
            allowed = not name or any(name == good or name.startswith(f"{good}.") for good in ours)
        if not allowed:
            wrong.append(f"{MODULES[module].relative_to(ROOT)}:{one.line}: {one.target}")
    assert not wrong, f"may import of ours {sorted(ours)}, of others' {sorted(others)}"


def loaded_by(module: str) -> set[str]:
    """All that is imported when ``module`` is, ours followed."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        for one in imports(waiting.pop()):
            if one.at_load and one.target not in seen:
                seen.add(one.target)
                if (name := own(one.target)) in MODULES and name is not None:
                    waiting.append(name)
    return seen


@pytest.mark.parametrize(
    "module",
    ["cli", "cli.lint", "cli.compile", "compiler", "helper.init", "helper.wait", "local.server", "stack.stack"],
)
def test_loading_it_loads_neither_airflow_nor_kubernetes(module: str) -> None:
    heavy = {"airflow", "kubernetes", "boto3"}
    assert not {target for target in loaded_by(module) if target.partition(".")[0] in heavy}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("runtime")])
def test_kubernetes_is_imported_only_where_needed(module: str) -> None:
    """Behind the one operator class; a call, a gate and the triggerer start without it."""
    if module != "runtime.operators":
        assert not {
            one.target for one in imports(module) if one.at_load and one.target.startswith(("kubernetes", "boto3"))
        }


def test_no_import_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        names = {own(one.target) for one in imports(module) if one.at_load}
        graph[module] = {name for name in names if name and name != module and name in MODULES}
        # a package's modules may import each other while it shows them: that is no circle of modules
        graph[module] -= {name for name in graph[module] if module.startswith(f"{name}.")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("path", MODULES.values(), ids=lambda path: str(path.relative_to(ROOT)))
def test_size(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LARGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LARGEST_FUNCTION, f"{node.name} has {lines} lines"


def test_no_module_is_named_after_nothing() -> None:
    assert not {"utils", "util", "helpers", "common", "base", "manager", "misc"} & {
        part for module in MODULES for part in module.split(".")
    }


def test_the_contract_itself_is_of_this_tree() -> None:
    for name in LAYERS:
        assert name in MODULES, f"{name}: no such module"
    assert len(MODULES) > 60
