"""What goes into a pod. Expected: semantics.md §2.16, §2.17."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from argo_airflow.helper.contract import InputArtifact, Job, OutputArtifact, Report, inputs_path, main_command

from .conftest import Bucket, Pod


def tgz(*entries: tuple[str, bytes | str | None], mode: str = "w:gz") -> bytes:
    """Name → content of a file, target of a symbolic link (str), a folder (None)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in entries:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def loaded(pod: Pod, name: str = "a") -> Path:
    return Path(inputs_path(name, str(pod.root)))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def s3_input(bucket: Bucket, data: bytes | None = None, **options: object) -> Job:
    if data is not None:
        bucket.write("in/key", data)
    location = bucket.location("in/key")
    return Job(inputs=(InputArtifact("a", "/tmp/a", location, **options),))  # type: ignore[arg-type]


def test_raw_content_is_written_as_it_is(pod: Pod) -> None:
    text = "$(HOME) $$(x) 'ä'\r\n\n"
    pod.init(Job(inputs=(InputArtifact("a", "/tmp/a", raw=text),)))
    assert loaded(pod).read_bytes() == text.encode()


def test_a_script_is_executable_and_runs_as_the_last_argument(pod: Pod) -> None:
    job = Job(script='#!/bin/sh\necho "$0 $1 $(basename $0)"\n', result=True)
    pod.init(job)
    script = pod.root / "staging/script"
    assert script.stat().st_mode & 0o777 == 0o755
    assert pod.main(job, "sh", "-e")[1].decode() == f"{script}  script\n"
    assert subprocess.run([script], capture_output=True, check=True).stdout == f"{script}  script\n".encode()


def test_an_empty_script_gives_no_argument(pod: Pod) -> None:
    job = Job(script="", result=True)
    pod.init(job)
    assert main_command(["cat"], [], job)[-2:] == ["--", "cat"]


def test_without_outputs_there_is_no_wrapper(pod: Pod) -> None:
    job = Job(inputs=(InputArtifact("a", "/tmp/a", raw="x"),))
    pod.init(job)
    assert not (pod.root / "wrapper").exists()
    assert main_command(["cat"], ["x"], job) == ["cat", "x"]


@pytest.mark.parametrize("archive", [None, "none"])
def test_an_object_is_a_file(pod: Pod, bucket: Bucket, archive: str | None) -> None:
    data = os.urandom(100_000)
    pod.init(s3_input(bucket, data, archive=archive))
    assert loaded(pod).read_bytes() == data


def test_a_tgz_of_one_file_becomes_that_file(pod: Pod, bucket: Bucket) -> None:
    pod.init(s3_input(bucket, tgz(("some-name", b"content"))))
    assert loaded(pod).read_bytes() == b"content"


def test_a_tgz_of_one_folder_becomes_that_folder(pod: Pod, bucket: Bucket) -> None:
    pod.init(s3_input(bucket, tgz(("d/", None), ("d/x", b"1"), ("d/sub/y", b"2"))))
    assert tree(loaded(pod)) == {"x": b"1", "sub/y": b"2"}


def test_a_tgz_of_several_becomes_a_folder(pod: Pod, bucket: Bucket) -> None:
    pod.init(s3_input(bucket, tgz(("x", b"1"), ("d/y", b"2"))))
    assert tree(loaded(pod)) == {"x": b"1", "d/y": b"2"}


def test_without_archive_a_tgz_stays_packed(pod: Pod, bucket: Bucket) -> None:
    data = tgz(("x", b"1"))
    pod.init(s3_input(bucket, data, archive="none"))
    assert loaded(pod).read_bytes() == data


def test_gzip_that_is_no_tar_and_tar_that_is_not_zipped_stay_as_they_are(pod: Pod, bucket: Bucket) -> None:
    for data in (gzip.compress(b"no tar"), tgz(("x", b"1"), mode="w"), b"", b"\x1f", tgz()):
        pod.init(s3_input(bucket, data))
        assert loaded(pod).read_bytes() == data


def test_tar_asked_for_must_be_one(pod: Pod, bucket: Bucket) -> None:
    error = pod.init_error(s3_input(bucket, b"just text", archive="tar"))
    assert error.startswith("artifact a failed to load: cannot unpack: ")
    pod.init(s3_input(bucket, tgz(("x", b"1"), mode="w"), archive="tar"))
    assert loaded(pod).read_bytes() == b"1"


def test_a_tgz_that_is_cut_off_is_an_error(pod: Pod, bucket: Bucket) -> None:
    data = tgz(("x", os.urandom(50_000)))
    error = pod.init_error(s3_input(bucket, data[:30_000]))
    assert error.startswith("artifact a failed to load: cannot unpack: ")
    assert not loaded(pod).exists()


@pytest.mark.parametrize(
    "entries",
    [
        (("../evil", b"x"),),
        (("ok", b"1"), ("d/../../evil", b"x")),
        (("/tmp/argo-airflow-evil", b"x"),),
        (("link", "/tmp"), ("link/argo-airflow-evil", b"x")),
        (("link", "../.."), ("link/evil", b"x")),
        (("d/", None), ("d/link", "."), ("d/link/evil", b"x")),
    ],
)
def test_no_member_of_an_archive_leaves_its_folder(
    pod: Pod, bucket: Bucket, entries: tuple[tuple[str, bytes | str | None], ...]
) -> None:
    error = pod.init_error(s3_input(bucket, tgz(*entries)))
    assert error.startswith("artifact a failed to load: refused: ")
    assert not list(pod.root.parent.rglob("evil"))
    assert not Path("/tmp/argo-airflow-evil").exists()
    assert not loaded(pod).exists()


def test_a_device_in_an_archive_is_refused(pod: Pod, bucket: Bucket) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("null")
        member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 3
        tar.addfile(member)
    assert "refused" in pod.init_error(s3_input(bucket, buffer.getvalue()))


def test_links_inside_the_folder_are_kept(pod: Pod, bucket: Bucket) -> None:
    pod.init(s3_input(bucket, tgz(("x", b"1"), ("y", "x"))))
    assert os.readlink(loaded(pod) / "y") == "x"


def test_a_key_with_objects_below_is_a_folder(pod: Pod, bucket: Bucket) -> None:
    bucket.write("in/key/one", b"1")
    bucket.write("in/key/sub/two", b"2")
    bucket.write("in/key-other", b"not this")
    pod.init(s3_input(bucket))
    assert tree(loaded(pod)) == {"one": b"1", "sub/two": b"2"}


def test_a_missing_object_is_an_error(pod: Pod, bucket: Bucket) -> None:
    expected = f"artifact a failed to load: s3://{bucket.name}/in/key does not exist"
    assert pod.init_error(s3_input(bucket)) == expected


def test_a_missing_optional_object_is_skipped(pod: Pod, bucket: Bucket) -> None:
    pod.init(s3_input(bucket, optional=True))
    assert not loaded(pod).exists()


def test_optional_does_not_hide_other_failures(pod: Pod, bucket: Bucket) -> None:
    pod.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    assert pod.init_error(s3_input(bucket, b"x", optional=True)).startswith("artifact a failed to load: s3://")


def test_without_credentials_the_message_says_so(pod: Pod, bucket: Bucket) -> None:
    job = s3_input(bucket, b"x")
    pod.env.update(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_DISABLED="true", HOME="/none")
    assert "Unable to locate credentials" in pod.init_error(job)


def test_a_location_that_lacks_a_part_is_an_error(pod: Pod) -> None:
    for location, message in (
        ({"s3": {"bucket": "b"}}, "the s3 location has no key"),
        ({"s3": {"key": "k"}}, "the s3 location has no bucket"),
        ({"git": {"repo": "x"}}, "location git: only s3 is supported"),
        (None, "it has no location"),
    ):
        error = pod.init_error(Job(inputs=(InputArtifact("a", "/tmp/a", location),)))
        assert error == f"artifact a failed to load: {message}"


def test_modes_are_set_after_loading(pod: Pod, bucket: Bucket) -> None:
    pod.init(s3_input(bucket, tgz(("x", b"1"), ("d/y", b"2")), mode=0o755, recurse_mode=True))
    assert {path.stat().st_mode & 0o777 for path in (loaded(pod), *loaded(pod).rglob("*"))} == {0o755}
    pod.init(s3_input(bucket, b"file", mode=0o400))
    assert loaded(pod).stat().st_mode & 0o777 == 0o400


def test_init_may_run_twice(pod: Pod, bucket: Bucket) -> None:
    job = s3_input(bucket, tgz(("x", b"1"), ("d/y", b"2")))
    pod.init(job)
    pod.init(job)
    assert tree(loaded(pod)) == {"x": b"1", "d/y": b"2"}


@pytest.mark.parametrize("archive", ["tar", "none"])
@pytest.mark.parametrize("script", ["echo 1 > out", "mkdir -p out/sub out/e; echo 1 > out/x; echo 2 > out/sub/y"])
def test_what_one_pod_saves_another_loads(pod: Pod, bucket: Bucket, archive: str, script: str) -> None:
    saving = Job(artifacts=(OutputArtifact("a", str(pod.files / "out"), bucket.location("k/e y"), archive),))
    _, report = pod.sh(saving, script)
    saved = dict(report.artifacts["a"])
    pod.init(Job(inputs=(InputArtifact("b", "/tmp/b", archive=saved.pop("archive"), location=saved),)))
    there, here = pod.files / "out", loaded(pod, "b")
    assert here.is_dir() == there.is_dir()
    assert here.read_bytes() == there.read_bytes() if there.is_file() else tree(here) == tree(there)


def test_a_shared_folder_that_cannot_be_written_is_told(pod: Pod) -> None:
    pod.root.write_text("a file")
    assert pod.init_error(Job(script="x")).startswith(f"cannot prepare {pod.root}: ")


def test_the_error_is_the_logs_last_line_and_readable_before_it(pod: Pod) -> None:
    code, log = pod.helper("init", Job(inputs=(InputArtifact("a", "/tmp/a"),)))
    plain, report = log.splitlines()
    assert (code, plain) == (1, "error: artifact a failed to load: it has no location")
    assert Report.from_log(report).error == "artifact a failed to load: it has no location"
