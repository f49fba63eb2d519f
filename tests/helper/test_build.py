"""Compiling the wrapper when the package is built."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from argo_airflow.helper import build

from .conftest import HELPER


@pytest.fixture
def source(tmp_path: Path, _wrapper: None) -> Path:
    for path in (*HELPER.glob("*.c"), *HELPER.glob("*.h")):
        shutil.copy2(path, tmp_path)
    return tmp_path


def test_both_are_built_executable_and_nothing_else_is_left(source: Path) -> None:
    binaries = build.compile_wrapper(source)
    assert sorted(path.name for path in (source / "bin").iterdir()) == ["wrapper-amd64", "wrapper-arm64"]
    assert all(os.access(path, os.X_OK) for path in binaries)


def test_what_is_newer_than_its_source_is_left_alone(source: Path) -> None:
    (source / "bin").mkdir()
    for name in ("wrapper-amd64", "wrapper-arm64"):
        (source / "bin" / name).write_text("mine")
    build.compile_wrapper(source)
    assert (source / "bin/wrapper-amd64").read_text() == "mine"
    header = source / "outputs.h"
    later = (source / "bin/wrapper-amd64").stat().st_mtime + 10
    os.utime(header, (later, later))
    build.compile_wrapper(source)
    assert (source / "bin/wrapper-amd64").read_bytes()[:4] == b"\x7fELF"


def test_a_mistake_in_the_source_is_shown_and_the_old_program_stays(source: Path) -> None:
    build.compile_wrapper(source)
    before = (source / "bin/wrapper-amd64").read_bytes()
    (source / "outputs.c").write_text("int broken(")
    with pytest.raises(RuntimeError, match=r"does not compile for x86_64-linux-musl(.|\n)*outputs.c:1"):
        build.compile_wrapper(source, force=True)
    assert (source / "bin/wrapper-amd64").read_bytes() == before
