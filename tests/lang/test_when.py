"""`when` (semantics.md §2.3; govaluate's own rules where §2.3 names them)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_airflow.lang import when

TRUE = [
    "",
    "foo == foo",
    "foo != bar",
    "Succeeded == Succeeded",
    "'a b' == \"a b\"",
    "true",
    "true == true",
    "!(false)",
    "!false",
    "1 == 1.0",
    "0x10 == 16",
    "10 > 9",
    "2 >= 2 && 1 <= 1",
    "abc < abd",
    "heads =~ h",
    '"page-12" =~ "^page-[0-9]+$"',
    "tails !~ head",
    "a in (a, b)",
    "2 in (1, 2)",
    "a IN (a, b)",
    "true || false && false",
    "(a == b) || (c == c)",
    "1 == 2 ? false : true",
    "1 == 1 ? true : false",
    "1 + 2 * 3 == 7",
    "(1 + 2) * 3 == 9",
    "2 ** 3 == 8",
    "10 - 3 - 2 == 5",
    "7 % 4 == 3",
    "-1 < 0",
    "'1' + 2 == '12'",
    "1 << 4 == 16",
    "6 & 3 == 2 || true",
    r"a\-b == 'a-b'",
    "[a-b] == 'a-b'",
    "'2024-01-02' > '2024-01-01'",
    "'' == ''",
    "1 / 0 > 5",
    # short circuit: the wrong type on the right is never looked at
    "true || 1",
    "!(false && 1)",
]
FALSE = [
    "foo == bar",
    "Failed == Succeeded",
    "'1' == 1",
    "'true' == true",
    "9 > 10",
    "c in (a, b)",
    "heads =~ '^eads'",
    "false",
    "1 == 1 && a == b",
    "'{{x}}' == y",
    "'10' > '9'",
]
ERRORS = [
    ("a-b == c", "Value 'a' cannot be used with the modifier '-', it is not a number"),
    (" == x", "Cannot transition token types from UNKNOWN [<nil>] to COMPARATOR [==]"),
    ("a b == c", "Cannot transition token types from VARIABLE [a] to VARIABLE [b]"),
    ("{{x}} == y", "Invalid token: '{{'"),
    ("1 !=-1", "Invalid token: '!=-'"),
    ("a = b", "Invalid token: '='"),
    ("a == 'b", "Unclosed string literal"),
    ("a == [b", "Unclosed parameter bracket"),
    ("(a == b", "Unbalanced parenthesis"),
    ("a == b)", "Unbalanced parenthesis"),
    ("a ==", "Unexpected end of expression"),
    ("a == b &&", "Unexpected end of expression"),
    ("5", "Expected boolean evaluation for '5'. Got 5"),
    ("1.5", "Expected boolean evaluation for '1.5'. Got 1.5"),
    ("foo", "Expected boolean evaluation for 'foo'. Got foo"),
    ("a > 1", "Value 'a' cannot be used with the comparator '>', it is not a number"),
    ("a && true", "Value 'a' cannot be used with the logical operator '&&', it is not a bool"),
    ("a in (a)", "cannot be used with the comparator 'in'"),
    ("a =~ '('", "Unable to compile regexp pattern '('"),
    ("1 =~ 1", "it is not a string"),
    ("1.2.3 == x", "Unable to parse numeric value '1.2.3' to float64"),
    ("v1.2 == x", "No parameter 'v1' found"),
    ("f(x)", "Undefined function f"),
    ("!foo", "Cannot transition token types from PREFIX [!] to STRING [foo]"),
    ("()", "Unexpected empty parentheses"),
    ("/a == /a", "Cannot transition token types from UNKNOWN [<nil>] to MODIFIER [/]"),
]


@pytest.mark.parametrize("text", TRUE)
def test_true(text: str) -> None:
    assert when.evaluate(text) is True


@pytest.mark.parametrize("text", FALSE)
def test_false(text: str) -> None:
    assert when.evaluate(text) is False


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_error(text: str, message: str) -> None:
    with pytest.raises(when.WhenError) as caught:
        when.evaluate(text)
    assert message in str(caught.value)
    assert text in str(caught.value)
    assert caught.value.phase == "Error"


@pytest.mark.parametrize("text", ["{{x}} == y", "a b == c", " == x"])
def test_error_of_an_unquoted_text_says_to_quote_it(text: str) -> None:
    with pytest.raises(when.WhenError) as caught:
        when.evaluate(text)
    assert '(hint: try wrapping the affected expression in quotes ("))' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fine"),
    [("x == y", True), ("x", True), ("a > 1", True), ("a b", False), ("(x", False), ("x ==", False), ("", True)],
)
def test_check_reads_without_evaluating(text: str, fine: bool) -> None:
    if fine:
        when.check(text)
    else:
        with pytest.raises(when.WhenError):
            when.check(text)


def test_depth_is_bounded_and_length_is_not() -> None:
    assert when.evaluate("true" + " && true" * 5000) is True
    assert when.evaluate("(" * 50 + "true" + ")" * 50) is True
    with pytest.raises(when.WhenError, match="nested too deeply"):
        when.evaluate("(" * 5000 + "true" + ")" * 5000)


quoted = st.text(st.characters(exclude_characters="'\"\\", exclude_categories=["Cs"]))


@given(quoted, quoted)
def test_quoted_texts_compare_as_texts(left: str, right: str) -> None:
    # a text that looks like a time is one, to govaluate
    left, right = f"x{left}", f"x{right}"
    assert when.evaluate(f"'{left}' == '{right}'") is (left == right)
    assert when.evaluate(f"'{left}' != '{right}'") is (left != right)
    assert when.evaluate(f"'{left}' < '{right}'") is (left < right)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_numbers_compare_as_numbers(left: int, right: int) -> None:
    assert when.evaluate(f"{left} < {right}") is (left < right)
    assert when.evaluate(f"{left} == {right}") is (left == right)


@given(st.booleans(), st.booleans(), st.booleans())
def test_and_binds_tighter_than_or(a: bool, b: bool, c: bool) -> None:
    text = f"{a} || {b} && {c}".lower()
    assert when.evaluate(text) is (a or (b and c))


@given(st.text(st.sampled_from("ab1.'\"()[]!=<>&|?:,-+*/%^~ \\inTru{}"), max_size=30))
def test_whatever_is_written_gives_a_boolean_or_a_when_error(text: str) -> None:
    with contextlib.suppress(when.WhenError):
        assert isinstance(when.evaluate(text), bool)
