"""The items of a loop between Argo and Airflow: Airflow maps over their JSON, a worker takes its own back."""

from __future__ import annotations

import json
from typing import Any

from argo_airflow.errors import NodeError
from argo_airflow.graph import Loop, Work
from argo_airflow.lang import loops
from argo_airflow.runtime.scope import Scope

_BAD_LIST = "!"
"""First character of the one item that stands for a list that could not be made; no JSON starts with it."""
_LONGEST_LABEL = 250


def items_of(loop: Loop, scope: Scope) -> list[str]:
    """The items of a loop, each as JSON: what Airflow maps over.

    Raises:
        NodeError: the list cannot be made.
    """
    if loop.items is not None:
        values = [_render_item(item, scope) for item in loop.items]
    elif loop.param is not None:
        values = loops.param(scope.render(loop.param))
    else:
        values = list(loops.sequence(**{name: scope.render(text) for name, text in loop.sequence}))
    _refuse_long(values)
    return [json_item(value) for value in values]


def _refuse_long(values: list[Any]) -> None:
    """Airflow would refuse the list only when it is stored, and run its producer again and again."""
    from airflow.configuration import conf

    longest = conf.getint("core", "max_map_length", fallback=1024)
    if len(values) > longest:
        raise loops.LoopError(
            f"the loop has {len(values):,} items, more than the {longest:,} of option [core] max_map_length"
        )


def json_item(value: Any) -> str:
    """An item as JSON; a number keeps its spelling."""
    return json.dumps(value, ensure_ascii=False)


def list_of(result: str) -> list[str]:
    """A result as the items of the loop over it; one that is none, or too long, becomes one item that fails so."""
    try:
        values = loops.param(result)
        _refuse_long(values)
        return [json_item(value) for value in values]
    except loops.LoopError as error:
        return [_BAD_LIST + str(error)]


def _render_item(item: Any, scope: Scope) -> Any:
    if isinstance(item, tuple):
        return scope.render(item)
    if isinstance(item, dict):
        return {key: _render_item(value, scope) for key, value in item.items()}
    if isinstance(item, list):
        return [_render_item(value, scope) for value in item]
    return item


def item_value(item: str | None) -> Any:
    """The item a mapped task was given.

    Raises:
        NodeError: the list could not be made; Argo words it.
    """
    if item is None:
        return None
    if item.startswith(_BAD_LIST):
        raise NodeError(item.removeprefix(_BAD_LIST))
    return json.loads(item, parse_float=loops.RawNumber)


def label(work: Work, item: str | None, map_index: int) -> str:
    """The node's own name as Argo shows it: ``step(0:item)`` for an item of a loop."""
    if item is None:
        return work.node.name
    value = None if item.startswith(_BAD_LIST) else item_value(item)
    return loops.item_name(work.node.name, map_index, value)


def shown_label(work: Work, item: str | None, map_index: int) -> str:
    """The same for Airflow's UI; its column takes no more (models/taskinstance.py, ``rendered_map_index``)."""
    text = label(work, item, map_index).replace("\0", "")
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"
