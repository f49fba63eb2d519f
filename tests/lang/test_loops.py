"""Loops (semantics.md §2.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_airflow.lang import loops
from argo_airflow.lang.loops import LoopError
from argo_airflow.spec import Sequence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", []),
        ("null", []),
        (' ["a", "b"]\n', ["a", "b"]),
        ('[1, true, null, {"a": [1]}, [2]]', [1, True, None, {"a": [1]}, [2]]),
        ("[12345678901234567890]", [12345678901234567890]),
    ],
)
def test_param(text: str, expected: list[Any]) -> None:
    assert loops.param(text) == expected
    assert loops.items(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1}', "it is a map"),
        ('"a"', "it is a text"),
        ("3", "it is a number"),
        ("true", "it is a boolean"),
        ("", "it is empty"),
        ("[1,", "Expecting value"),
        ("hello", "Expecting value"),
        ("[NaN]", "NaN is not JSON"),
        ("[" * 100000, ""),
    ],
)
def test_param_that_is_no_list(text: str, reason: str) -> None:
    with pytest.raises(LoopError) as caught:
        loops.param(text)
    message = str(caught.value)
    assert message.startswith(f"withParam value could not be parsed as a JSON list: {text[:200]}")
    assert reason in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"count": "3"}, ["0", "1", "2"]),
        ({"count": "0"}, []),
        ({"count": "2", "start": "5"}, ["5", "6"]),
        ({"start": "1", "end": "3"}, ["1", "2", "3"]),
        ({"end": "2"}, ["0", "1", "2"]),
        ({"end": "0"}, ["0"]),
        ({"start": "3", "end": "1"}, ["3", "2", "1"]),
        ({"start": "1", "end": "0"}, ["1", "0"]),
        ({"start": "-1", "end": "1"}, ["-1", "0", "1"]),
        ({"count": "2", "format": "testuser%02X"}, ["testuser00", "testuser01"]),
        ({"start": "10", "end": "11", "format": "%03d%%"}, ["010%", "011%"]),
    ],
)
def test_sequence(given_: dict[str, str], expected: list[str]) -> None:
    assert loops.sequence(**given_) == expected
    assert loops.items(Sequence(**given_)) == expected


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"count": "1", "end": "2"}, "only one of count or end can be defined in withSequence"),
        ({"start": "1"}, "withSequence needs count or end"),
        ({"count": "x"}, "withSequence.count 'x' is not a whole number"),
        ({"end": "1.5"}, "withSequence.end '1.5' is not a whole number"),
        ({"count": "-1"}, "must not be negative"),
        ({"end": "999999999999"}, "more than 1,000,000"),
        ({"count": "1", "format": "x"}, "must hold one verb"),
        ({"count": "1", "format": "%s"}, "must hold one verb"),
        ({"count": "1", "format": "%d %d"}, "must hold one verb"),
    ],
)
def test_sequence_errors(given_: dict[str, str], message: str) -> None:
    with pytest.raises(LoopError, match=message):
        loops.sequence(**given_)


# results of Go's fmt.Sprintf
@pytest.mark.parametrize(
    ("form", "number", "expected"),
    [
        ("%d", -5, "-5"),
        ("%v", 5, "5"),
        ("%5d|", 42, "   42|"),
        ("%-5d|", 42, "42   |"),
        ("%05d", -42, "-0042"),
        ("%+d", 42, "+42"),
        ("%x", 255, "ff"),
        ("%#x", 255, "0xff"),
        ("%X", 255, "FF"),
        ("%o", 8, "10"),
        ("%b", 5, "101"),
        ("%c", 65, "A"),
        ("%.3d", 5, "005"),
    ],
)
def test_printf(form: str, number: int, expected: str) -> None:
    assert loops.printf(form, number) == expected


@pytest.mark.parametrize(
    ("raw", "text", "name"),
    [
        ('"a"', "a", "s(0:a)"),
        ('"a (b)"', "a (b)", "s(0:a b)"),
        ("1", "1", "s(0:1)"),
        ("1.0", "1.0", "s(0:1.0)"),
        ("1e3", "1e3", "s(0:1e3)"),
        ("true", "true", "s(0:true)"),
        ("null", "null", "s(0:[])"),
        ('{"b": 2, "a": "x"}', '{"a":"x","b":2}', "s(0:a:x,b:2)"),
        ('["a", "b"]', '["a","b"]', "s(0:[a b])"),
        ('"ü"', "ü", "s(0:ü)"),
    ],
)
def test_text_and_name_of_an_item(raw: str, text: str, name: str) -> None:
    (item,) = loops.param(f"[{raw}]")
    assert loops.item_text(item) == text
    assert loops.item_name("s", 0, item) == name


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ('{"a": "x", "n": 1.50, "t": true, "z": null}', {"a": "x", "n": "1.50", "t": "true", "z": "null"}),
        ('{"a": "say \\"hi\\"\\n"}', {"a": 'say \\"hi\\"\\n'}),
        ('{"a": {"b": [1, "c"]}}', {"a": '{"b":[1,"c"]}'}),
        ('"text"', {}),
        ("[1]", {}),
    ],
)
def test_fields_of_an_item(raw: str, fields: dict[str, str]) -> None:
    (item,) = loops.param(f"[{raw}]")
    assert loops.item_fields(item) == fields


def test_yaml_items_go_through_json_as_in_argo() -> None:
    items = loops.items([1.0, 2.5, {"b": 1, "a": {"d": 1, "c": 2}}, "x", None, True])
    assert [loops.item_text(item) for item in items] == [
        "1",
        "2.5",
        '{"a":{"c":2,"d":1},"b":1}',
        "x",
        "null",
        "true",
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(json_values))
def test_param_reads_any_json_list(values: list[Any]) -> None:
    assert loops.param(json.dumps(values)) == values


@given(json_values)
def test_text_of_an_item_is_its_json_or_itself(value: Any) -> None:
    text = loops.item_text(value)
    assert text == value if isinstance(value, str) else json.loads(text) == value
