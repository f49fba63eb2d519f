"""`depends` (semantics.md §2.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_airflow.lang import depends
from argo_airflow.lang.depends import And, DependsError, Is, Not, Or

PHASES = ("Succeeded", "Failed", "Error", "Skipped", "Omitted", "Daemoned")
TABLE = {
    "A": {"Succeeded", "Skipped", "Daemoned"},
    "A.Succeeded": {"Succeeded"},
    "A.Failed": {"Failed"},
    "A.Errored": {"Error"},
    "A.Skipped": {"Skipped"},
    "A.Omitted": {"Omitted"},
    "A.Daemoned": {"Daemoned"},
    "!A.Succeeded": set(PHASES) - {"Succeeded"},
    "A.Succeeded || A.Failed": {"Succeeded", "Failed"},
    "A && !A.Skipped": {"Succeeded", "Daemoned"},
    "!(A || A.Failed)": {"Error", "Omitted"},
}


@pytest.mark.parametrize("text", TABLE)
@pytest.mark.parametrize("phase", PHASES)
def test_one_task(text: str, phase: str) -> None:
    assert depends.parse(text, {"A"}).evaluate(lambda _task: phase) is (phase in TABLE[text])


@pytest.mark.parametrize(
    ("children", "any_succeeded", "all_failed"),
    [
        ([], False, False),
        (["Succeeded"], True, False),
        (["Failed", "Succeeded"], True, False),
        (["Failed", "Failed"], False, True),
        (["Failed", "Error"], False, False),
        (["Error"], False, False),
    ],
)
def test_items_of_a_loop(children: list[str], any_succeeded: bool, all_failed: bool) -> None:
    for text, expected in (("A.AnySucceeded", any_succeeded), ("A.AllFailed", all_failed)):
        assert depends.parse(text).evaluate(lambda _task: "Failed", lambda _task: children) is expected


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", Is("a")),
        ("a-b.Failed", Is("a-b", "Failed")),
        ("a && b || c", Or((And((Is("a"), Is("b"))), Is("c")))),
        ("a || b && c", Or((Is("a"), And((Is("b"), Is("c")))))),
        ("(a || b)&&c", And((Or((Is("a"), Is("b"))), Is("c")))),
        ("!a && b", And((Not(Is("a")), Is("b")))),
        ("a and not b or c", Or((And((Is("a"), Not(Is("b")))), Is("c")))),
        (" 2fast\n", Is("2fast")),
    ],
)
def test_parse(text: str, tree: depends.Depends) -> None:
    assert depends.parse(text) == tree


def test_a_task_may_be_called_and() -> None:
    assert depends.parse("and && b", {"and", "b"}) == And((Is("and"), Is("b")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.Done", "task result 'Done' for task 'a' is invalid"),
        ("x", "dependency 'x' not defined"),
        ("", "expected a task, found end"),
        ("a &&", "expected a task, found end"),
        ("a b", "unexpected `b`"),
        ("(a", "expected `)`, found end"),
        ("a)", "unexpected `)`"),
        ("a & b", "unexpected `&`"),
        ("a == b", "unexpected `=`"),
        ("(" * 5000 + "a" + ")" * 5000, "nested too deeply"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(DependsError) as caught:
        depends.parse(text, {"a", "b"})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a", True), ("a && b && (c)", True), ("a || b", False), ("a.Succeeded", False), ("!a", False)],
)
def test_plain(text: str, plain: bool) -> None:
    assert depends.plain(depends.parse(text)) is plain


def test_tasks_and_conditions() -> None:
    parsed = depends.parse("(a.Failed || b) && !c.Skipped && a")
    assert parsed.tasks() == {"a", "b", "c"}
    assert [str(one) for one in parsed.conditions()] == ["a.Failed", "b", "c.Skipped", "a"]


def test_dependencies_are_an_and_of_bare_names() -> None:
    assert depends.of_dependencies(["a", "b"]) == depends.parse("a && b")


conditions = st.builds(Is, st.sampled_from("abc"), st.sampled_from(["", "Succeeded", "Failed", "Omitted", "Errored"]))
trees = st.recursive(
    conditions,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(And),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or),
    ),
    max_leaves=12,
)
phases = st.fixed_dictionaries({name: st.sampled_from(PHASES) for name in "abc"})


@given(trees, phases)
def test_written_and_read_again_means_the_same(tree: depends.Depends, phase: dict[str, str]) -> None:
    again = depends.parse(str(tree))
    assert again == tree
    assert again.evaluate(phase.__getitem__) is tree.evaluate(phase.__getitem__)


@given(trees, trees, phases)
def test_de_morgan(left: depends.Depends, right: depends.Depends, phase: dict[str, str]) -> None:
    one, other = Not(And((left, right))), Or((Not(left), Not(right)))
    assert one.evaluate(phase.__getitem__) is other.evaluate(phase.__getitem__)
