"""The image index: which entry stands for an image, its paths, its errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.images import ImageIndex

INDEX = """
images:
  'python:*': {cmd: [python3], path: ['{python}']}
  python:3.12: {cmd: [exact]}
  reg.example:5000/tool: {entrypoint: [tool], workdir: /w, user: 1000, env: {A: 1, B: 'no'}, mounts: {/t: here}}
  'team/*': {root: here, path: [bin, '${SOME_DIR}/x', '~/y']}
"""


def test_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_DIR", "/some")
    monkeypatch.setenv("HOME", "/home/anna")
    (tmp_path / "here").mkdir()
    path = tmp_path / "images.yaml"
    path.write_text(INDEX)
    index = ImageIndex.load(path)
    assert index.find("python:3.12").cmd == ("exact",)
    assert index.find("python:3.11-slim").cmd == ("python3",)
    assert index.find("python:3.11").path == (os.path.dirname(sys.executable),)
    tool = index.find("reg.example:5000/tool:9@sha256:abc")
    assert (tool.entrypoint, tool.workdir, tool.user, tool.listed) == (("tool",), "/w", 1000, True)
    assert tool.env == {"A": "1", "B": "no"}
    assert tool.mounts == {"/t": str(tmp_path / "here")}
    assert index.find("team/a:1").root == str(tmp_path / "here")
    assert index.find("team/a").path == (str(tmp_path / "bin"), "/some/x", "/home/anna/y")
    other = index.find("alpine:3")
    assert (other.root, other.entrypoint, other.listed) == ("/", (), False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images: [a", "images.yaml:"),
        ("images: [a]", "images.yaml:1:9: image index: images: expected a mapping"),
        ("pictures: {}", "images.yaml:1:11: image index: unknown field 'pictures'"),
        (
            "images:\n  a: {entrypoint: sh}",
            "images.yaml:2:19: image index: images.a.entrypoint: expected a list of strings",
        ),
        ("images:\n  a: {root: nowhere}", "images.a.root: "),
        ("images:\n  a: {user: bob}", "images.a.user: expected a numeric user id, not 'bob'"),
        ("strict: maybe", "expected true or false"),
        ("images:\n  a: {mounts: {x: .}}", "must start with /"),
    ],
)
def test_a_broken_index_is_located(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "images.yaml"
    path.write_text(text)
    with pytest.raises(LocalRuntimeError) as caught:
        ImageIndex.load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_empty_or_absent_index(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text("")
    assert ImageIndex.load(tmp_path / "images.yaml").images == {}
    with pytest.raises(LocalRuntimeError, match="cannot be read"):
        ImageIndex.load(tmp_path / "none.yaml")
