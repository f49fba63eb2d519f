"""Tags (semantics.md §2.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_airflow.lang.substitute import Tag, split, substitute, tags

VALUES = {"inputs.parameters.a": "1", "b": "{{inputs.parameters.a}}", "empty": "", "quote": 'x"\\\n'}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{{inputs.parameters.a}}", "1"),
        ("x{{inputs.parameters.a}}y{{inputs.parameters.a}}", "x1y1"),
        ("{{ inputs.parameters.a }}", "1"),
        ("{{\tinputs.parameters.a\n}}", "1"),
        ("{{unknown}}", "{{unknown}}"),
        ("{{ unknown }}", "{{ unknown }}"),
        ("{{b}}", "{{inputs.parameters.a}}"),
        ("[{{empty}}]", "[]"),
        ("{{quote}}", 'x"\\\n'),
        ("{{", "{{"),
        ("}}{{inputs.parameters.a", "}}{{inputs.parameters.a"),
        ("{{{inputs.parameters.a}}}", "{{{inputs.parameters.a}}}"),
        ("{inputs.parameters.a}", "{inputs.parameters.a}"),
        ("{{inputs.parameters.{{inputs.parameters.a}}}}", "{{inputs.parameters.{{inputs.parameters.a}}}}"),
    ],
)
def test_substitute(text: str, expected: str) -> None:
    assert substitute(text, VALUES.get) == expected


def test_split_gives_literals_and_tags_in_order() -> None:
    assert split("a{{x}}b{{ y }}") == ("a", Tag("x", "{{x}}"), "b", Tag("y", "{{ y }}"))


@pytest.mark.parametrize(
    ("text", "expression", "nested"),
    [
        ("{{x}}", False, False),
        ("{{=x}}", True, False),
        ("{{ =x}}", False, False),
        ("{{a.{{b}}}}", False, True),
    ],
)
def test_kind_of_a_tag(text: str, expression: bool, nested: bool) -> None:
    (tag,) = tags(text)
    assert (tag.expression, tag.nested) == (expression, nested)


pieces = st.lists(st.sampled_from(["{{", "}}", "{", "}", "a", " ", "{{b}}", "{{ x }}", "\n", "ü"])).map("".join)


@given(pieces)
def test_split_loses_nothing(text: str) -> None:
    assert "".join(part.raw if isinstance(part, Tag) else part for part in split(text)) == text


@given(pieces)
def test_a_lookup_that_knows_nothing_changes_nothing(text: str) -> None:
    assert substitute(text, lambda _name: None) == text


@given(st.text(), st.text())
def test_values_are_not_scanned_again(before: str, value: str) -> None:
    before = before.replace("{", "")
    assert substitute(before + "{{x}}", {"x": value}.get) == before + value
