"""Names (semantics.md §2.17; FNV test vectors from RFC draft-eastlake-fnv)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_airflow.lang import names
from argo_airflow.spec import ObjectMeta


@pytest.mark.parametrize(("text", "value"), [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)])
def test_fnv32a(text: str, value: int) -> None:
    assert names.fnv32a(text) == value


def test_node_id() -> None:
    assert names.node_id("wf", "wf") == "wf"
    assert names.node_id("wf", "foobar") == f"wf-{0xBF9CF968}"


def test_pod_name() -> None:
    assert names.pod_name("wf", "main", "wf") == "wf"
    assert names.pod_name("wf", "main", "foobar") == f"wf-main-{0xBF9CF968}"


def test_pods_of_runs_that_share_a_name_differ() -> None:
    for node in ("wf", "wf[0].a"):
        assert len({names.pod_name("wf", "main", node, run) for run in ("1", "2", "")}) == 3


def test_a_generated_name_fits_a_label() -> None:
    """Kubernetes cuts the prefix at 58 and adds five characters (apiserver/pkg/storage/names)."""
    name = names.workflow_name(ObjectMeta(generate_name="x" * 100), "seed")
    assert (name[:58], len(name)) == ("x" * 58, 63)


@given(st.text("abc-", max_size=300), st.text("abc-", max_size=300), st.text())
def test_a_pod_name_fits_kubernetes(workflow: str, template: str, node: str) -> None:
    name = names.pod_name(f"w{workflow}"[:63], template, node)
    assert len(name) <= 253


def test_long_prefixes_are_cut_to_242() -> None:
    name = names.pod_name("w" * 60, "t" * 300, "foobar")
    assert name == f"{('w' * 60 + '-' + 't' * 300)[:242]}-{0xBF9CF968}"


def test_a_name_is_kept() -> None:
    assert names.workflow_name(ObjectMeta(name="fixed", generate_name="x-"), "seed") == "fixed"


@given(st.text())
def test_a_generated_name_has_five_letters_of_kubernetes(seed: str) -> None:
    metadata = ObjectMeta(generate_name="hello-")
    name = names.workflow_name(metadata, seed)
    assert name.startswith("hello-")
    assert len(name) == 11
    assert set(name[6:]) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert names.workflow_name(metadata, seed) == name


def test_generated_names_differ() -> None:
    metadata = ObjectMeta(generate_name="hello-")
    assert len({names.workflow_name(metadata, f"run-{number}") for number in range(1000)}) > 990
