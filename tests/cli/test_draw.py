import re

import pytest

from argo_airflow.cli.draw import changes, draw
from argo_airflow.cli.tree import TreeNode


def node(name, phase="Succeeded", *children, **more):
    return TreeNode(f"/{name}", name, phase=phase, children=list(children), **more)


def text(root, width=200, height=50):
    return [re.sub(r" +", " ", line) for line in draw(root, width, height)]


def test_a_tree():
    root = node(
        "crawl",
        "Running",
        node("g", "Failed", node("a"), node("b", "Failed", message="exit\ncode 1")),
        node("c", "Pending"),
    )
    assert text(root) == [
        "● crawl",
        "├─✖ g",
        "│ ├─✔ a",
        "│ └─✖ b exit code 1",
        "└─◷ c",
    ]


def test_marks():
    marks = {
        "Succeeded": "✔",
        "Failed": "✖",
        "Error": "✖",
        "Running": "●",
        "Pending": "◷",
        "Skipped": "○",
        "Omitted": "○",
    }
    for phase, mark in marks.items():
        assert text(node("a", phase)) == [f"{mark} a"]


def test_of_many_iterations_the_last_are_shown_and_the_others_counted():
    runs = [node(f"page({n})", "Succeeded", node(f"get-{n}")) for n in range(200)]
    assert text(node("call", "Running", *runs)) == [
        "● call",
        "├─… 197 more ✔",
        "├─✔ page(197)",
        "├─✔ page(198)",
        "└─✔ page(199)",
        " └─✔ get-199",
    ]


def test_troubles_and_what_runs_are_shown_wherever_they_are():
    fan = [node(f"i({n})") for n in range(300)]
    fan[7].phase, fan[150].phase, fan[299].phase = "Failed", "Running", "Pending"
    lines = text(node("fan", "Running", *fan))
    assert lines[1] == "├─… 294 more ✔, 1 more ◷"
    assert [line[2:] for line in lines[2:]] == ["✖ i(7)", "● i(150)", "✔ i(296)", "✔ i(297)", "✔ i(298)"]


@pytest.mark.parametrize("height", [5, 10, 24, 50])
def test_it_always_fits_the_screen(height):
    deep = node("leaf", "Running", message="x" * 300)
    for n in range(40):
        deep = node(f"n{n}", "Running", *(node(f"m{n}-{k}") for k in range(12)), deep)
    lines = draw(deep, 80, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("… ")
    assert lines[-1].endswith(" more lines")


def test_what_has_succeeded_is_closed_when_room_is_scarce():
    groups = [node(f"g{n}", "Succeeded", *(node(f"t{n}-{k}") for k in range(4))) for n in range(4)]
    root = node("r", "Running", *groups, node("now", "Running", node("here", "Running")))
    assert any("t0-0" in line for line in draw(root, 80, 40))
    small = text(root, height=10)
    assert small == ["● r", "├─✔ g0", "├─✔ g1", "├─✔ g2", "├─✔ g3", "└─● now", " └─● here"]


def test_changes_are_told_once():
    told = {}
    a, b = node("a", "Running"), node("b", "Pending")
    root = node("r", "Running", a, b)
    assert changes(root, told) == ["● /a Running"]
    assert changes(root, told) == []
    a.phase, b.phase, b.message = "Succeeded", "Failed", "no such page"
    assert changes(root, told) == ["✔ /a Succeeded", "✖ /b Failed no such page"]
    root.phase = "Failed"
    assert changes(root, told) == ["✖ /r Failed"]
