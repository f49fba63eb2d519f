"""Aggregation (semantics.md §2.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_airflow.lang.outputs import AggregationError, aggregate_parameters, aggregate_results


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], "[]"),
        (["1", "2"], "[1,2]"),
        (["1.0", "1e3"], "[1.0,1e3]"),
        (['{"b": 1, "a": 2}'], '[{"b":1,"a":2}]'),
        (['"hello world"'], '["hello world"]'),
        (["[1, 2]", "true", "null"], "[[1,2],true,null]"),
        (['"a  \\" b"'], '["a  \\" b"]'),
    ],
)
def test_results(results: list[str], expected: str) -> None:
    assert aggregate_results(results) == expected


@pytest.mark.parametrize("text", ["hello", "", "{", "NaN", "[" * 100000])
def test_a_result_that_is_not_json_is_an_error(text: str) -> None:
    with pytest.raises(AggregationError, match=r"outputs\.result of item 1 is not JSON") as caught:
        aggregate_results(["1", text])
    assert caught.value.phase == "Error"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2"], '["1","2"]'),
        (["a", "b"], '["a","b"]'),
        (["[1, 2]", "{}"], "[[1,2],{}]"),
        (['{"a": 1}', "x"], '["{\\"a\\": 1}","x"]'),
        (["true"], '["true"]'),
        (["null"], '["null"]'),
        ([""], '[""]'),
    ],
)
def test_one_parameter(values: list[str], expected: str) -> None:
    found = aggregate_parameters([{"x": value} for value in values])
    assert found["outputs.parameters.x"] == expected


def test_all_parameters_are_maps_of_texts() -> None:
    found = aggregate_parameters([{"b": "2", "a": "1"}, {"a": "[3]"}])
    assert found == {
        "outputs.parameters": '[{"a":"1","b":"2"},{"a":"[3]"}]',
        "outputs.parameters.a": '["1","[3]"]',
        "outputs.parameters.b": '["2"]',
    }


def test_no_items() -> None:
    assert aggregate_parameters([]) == {"outputs.parameters": "[]"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(json_values), st.sampled_from([None, 2]))
def test_results_are_embedded_as_they_are(values: list[Any], indent: int | None) -> None:
    assert json.loads(aggregate_results([json.dumps(value, indent=indent) for value in values])) == values


@given(st.lists(st.lists(st.integers()) | st.dictionaries(st.text(), st.text()), min_size=1))
def test_structures_are_embedded(values: list[Any]) -> None:
    found = aggregate_parameters([{"x": json.dumps(value)} for value in values])
    assert json.loads(found["outputs.parameters.x"]) == values
