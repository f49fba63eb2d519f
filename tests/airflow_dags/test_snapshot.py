from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest
from airflow.dag_processing.bundles import base

from argo_airflow.airflow_dags.snapshot import Snapshots


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "a.yaml").write_text("a: 1\n")
    (folder / "below/b.yaml").write_text("b: 1\n")
    return folder


@pytest.fixture
def snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshots:
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    monkeypatch.setattr(base, "STALE_BUNDLE_TRACKING_FOLDER", tmp_path / "bundles/_tracking")
    return Snapshots(base.get_bundle_base_folder("test"), base.get_bundle_versions_base_folder("test"), "test")


def _content(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_version_is_the_content(snapshots: Snapshots, source: Path) -> None:
    assert snapshots.latest_version() is None
    assert snapshots.take(source)
    assert _content(snapshots.latest) == {"a.yaml": "a: 1\n", "below/b.yaml": "b: 1\n"}
    version = snapshots.latest_version()
    assert not snapshots.take(source)
    os.utime(source / "a.yaml", (1, 1))  # the time of a file is not its content
    assert not snapshots.take(source)
    assert snapshots.latest_version() == version


@pytest.mark.parametrize(
    "change",
    [
        lambda s: (s / "a.yaml").write_text("a: 2\n"),
        lambda s: (s / "a.yaml").rename(s / "c.yaml"),
        lambda s: (s / "c.yaml").write_text(""),
        lambda s: (s / "a.yaml").unlink(),
        lambda s: (s / "below/b.yaml").replace(s / "a.yaml"),
    ],
    ids=["changed", "renamed", "added", "removed", "replaced"],
)
def test_another_content_is_another_version(snapshots: Snapshots, source: Path, change) -> None:
    snapshots.take(source)
    first, before = str(snapshots.latest_version()), _content(source)
    change(source)
    assert snapshots.take(source)
    assert snapshots.latest_version() != first
    assert _content(snapshots.latest) == _content(source)
    assert _content(snapshots.versions_dir / first) == before


def test_a_content_that_comes_back_is_its_old_version(snapshots: Snapshots, source: Path) -> None:
    snapshots.take(source)
    first = snapshots.latest_version()
    (source / "a.yaml").write_text("a: 2\n")
    snapshots.take(source)
    (source / "a.yaml").write_text("a: 1\n")
    assert snapshots.take(source)
    assert snapshots.latest_version() == first


def test_only_what_changed_looks_changed(snapshots: Snapshots, source: Path) -> None:
    snapshots.take(source)
    old = {name: (snapshots.latest / name).stat() for name in ("a.yaml", "below/b.yaml")}
    time.sleep(0.05)
    os.utime(source / "below/b.yaml")
    (source / "a.yaml").write_text("a: 2\n")
    snapshots.take(source)
    assert (snapshots.latest / "below/b.yaml").stat().st_mtime_ns == old["below/b.yaml"].st_mtime_ns
    assert (snapshots.latest / "a.yaml").stat().st_mtime_ns > old["a.yaml"].st_mtime_ns


def test_a_change_within_the_same_tick_and_of_the_same_size(snapshots: Snapshots, source: Path) -> None:
    snapshots.take(source)
    stat = (source / "a.yaml").stat()
    (source / "a.yaml").write_text("a: 2\n")
    os.utime(source / "a.yaml", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert snapshots.take(source)


def test_folders_of_version_control_and_links(snapshots: Snapshots, source: Path, tmp_path: Path) -> None:
    (source / ".git").mkdir()
    (source / ".git/HEAD").write_text("ref")
    (source / "circle").symlink_to(source)
    (source / "nowhere").symlink_to(tmp_path / "nowhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/c.yaml").write_text("c: 1\n")
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    snapshots.take(source)
    assert _content(snapshots.latest).keys() == {"a.yaml", "below/b.yaml", "linked/c.yaml"}


def test_a_folder_that_is_not_there_is_not_an_empty_one(snapshots: Snapshots, source: Path) -> None:
    snapshots.take(source)
    with pytest.raises(FileNotFoundError, match=r"has no folder .*missing"):
        snapshots.take(source.with_name("missing"))
    assert _content(snapshots.latest) == _content(source)


def test_a_version_that_was_swept_away_is_made_again(snapshots: Snapshots, source: Path) -> None:
    snapshots.take(source)
    (snapshots.versions_dir / str(snapshots.latest_version())).rename(snapshots.base_dir / "gone")
    snapshots.take(source)
    assert _content(snapshots.latest) == _content(source)


def _age(snapshots: Snapshots, version: str, hours: int) -> None:
    then = time.time() - hours * 3600
    os.utime(snapshots.versions_dir / version, (then, then))


def _takes(snapshots: Snapshots, source: Path, count: int) -> list[str]:
    versions = []
    for number in range(count):
        (source / "a.yaml").write_text(f"a: {number}\n")
        snapshots.take(source)
        versions.append(str(snapshots.latest_version()))
    for number, version in enumerate(versions):
        _age(snapshots, version, hours=100 - number)
    return versions


@pytest.fixture
def _keep_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_MIN_VERSIONS", "2")


@pytest.mark.usefixtures("_keep_two")
def test_old_versions_go_but_none_that_is_needed(
    snapshots: Snapshots, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two are kept whatever their age: the latest, and the recent one.
    old, waiting, held, recent, latest = _takes(snapshots, source, 5)
    _age(snapshots, recent, hours=1)
    # The database's side is tested with a real one, in test_bundle.
    monkeypatch.setattr(snapshots, "_needed_versions", lambda: {waiting})
    base.get_bundle_tracking_dir("test").mkdir(parents=True)
    tracking = base.get_bundle_tracking_file("test", held)
    tracking.write_text("2020-01-01T00:00:00+00:00")
    with tracking.open() as task:
        fcntl.flock(task, fcntl.LOCK_SH)
        assert snapshots.keep_needed() == [old]
    left = {path.name for path in snapshots.versions_dir.iterdir()}
    assert left == {waiting, held, recent, latest}
    snapshots._next_cleanup = 0
    assert snapshots.keep_needed() == [held]
    assert not tracking.exists()


@pytest.mark.usefixtures("_keep_two")
def test_nothing_goes_where_the_runs_are_not_known(snapshots: Snapshots, source: Path, monkeypatch) -> None:
    _takes(snapshots, source, 6)
    monkeypatch.setattr(snapshots, "_needed_versions", lambda: None)
    assert snapshots.keep_needed() == []


@pytest.mark.usefixtures("_keep_two")
def test_airflows_own_clean_up_sees_a_needed_version_as_used(
    snapshots: Snapshots, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, *_others = _takes(snapshots, source, 3)
    base.get_bundle_tracking_dir("test").mkdir(parents=True)
    tracking = base.get_bundle_tracking_file("test", waiting)
    tracking.write_text("2020-01-01T00:00:00+00:00")
    monkeypatch.setattr(snapshots, "_needed_versions", lambda: {waiting})
    snapshots.keep_needed()
    [info] = base.BundleUsageTrackingManager()._find_all_tracking_files("test") or []
    assert time.time() - info.dt.timestamp() < 3600
