"""What comes out of a pod. Expected: semantics.md §2.8, §2.16."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import signal
import socket
import sys
import tarfile
from pathlib import Path

import pytest

from argo_airflow.helper.contract import Job, OutputArtifact, OutputParameter, Report, state_path

from .conftest import Bucket, Pod

RESULT = Job(result=True)


def parameter(path: str = "value", default: str | None = None) -> Job:
    return Job(parameters=(OutputParameter("p", path, default),))


def artifact(bucket: Bucket, path: str, archive: str = "tar", **options: object) -> Job:
    location = bucket.location("some/key")
    return Job(artifacts=(OutputArtifact("a", path, location, archive, **options),))  # type: ignore[arg-type]


def members(data: bytes) -> dict[str, bytes | str | None]:
    """Of a gzipped tar: name → content of a file, ``-> target`` of a link, None of a folder."""
    result: dict[str, bytes | str | None] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            result[member.name] = file.read() if file else f"-> {member.linkname}" if member.issym() else None
    return result


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("x", "x"),
        ("x\\n", "x"),
        ("x\\n\\n", "x\n"),
        ("\\n", ""),
        ("", ""),
        (" x \\r\\n", " x \r"),
        ("a\\nb\\n", "a\nb"),
    ],
)
def test_one_newline_is_taken_off_the_end(pod: Pod, content: str, value: str) -> None:
    job = Job(parameters=(OutputParameter("p", "value"),), result=True)
    code, report = pod.sh(job, f"printf '{content}' | tee value")
    assert code == 0
    assert report == Report(result=value, parameters={"p": value}, exit_code=0)


def test_a_missing_parameter_takes_its_default_less_one_newline(pod: Pod) -> None:
    assert pod.sh(parameter(default="d\n\n"), "exit 0")[1] == Report(parameters={"p": "d\n"}, exit_code=0)


def test_an_empty_default_is_a_default(pod: Pod) -> None:
    assert pod.sh(parameter(default=""), "exit 0")[1] == Report(parameters={"p": ""}, exit_code=0)


def test_a_file_outranks_the_default(pod: Pod) -> None:
    assert pod.sh(parameter(default="d"), "echo v > value")[1].parameters == {"p": "v"}


def test_a_missing_parameter_without_default_is_an_error(pod: Pod) -> None:
    code, report = pod.sh(parameter("/no/where"), "exit 0")
    assert (code, report.error) == (0, "output parameter p: /no/where: no such file or directory")


def test_outputs_are_saved_when_main_failed(pod: Pod) -> None:
    code, report = pod.sh(parameter(), "echo v > value; exit 3")
    assert (code, report) == (3, Report(parameters={"p": "v"}, exit_code=3))


def test_a_parameter_that_is_not_text_is_named(pod: Pod) -> None:
    _, report = pod.sh(parameter(), r"printf 'ab\377' > value")
    assert report.error.startswith("output parameter p: value: not UTF-8 text at byte 2")
    assert report.parameters == {}


def test_a_parameter_that_is_a_folder_is_refused(pod: Pod) -> None:
    assert pod.sh(parameter(), "mkdir value")[1].error == "output parameter p: value: is not one file"


def test_a_parameter_of_a_megabyte_is_refused_with_a_way_out(pod: Pod) -> None:
    _, report = pod.sh(parameter(), "head -c 1000000 /dev/zero | tr '\\0' x > value")
    assert report.error.startswith("output parameter p: value: has 1000000 bytes")
    assert "make it an artifact" in report.error


def test_every_error_is_told_and_the_rest_is_saved(pod: Pod) -> None:
    names = (OutputParameter("a", "a"), OutputParameter("b", "b"), OutputParameter("c", "c"))
    _, report = pod.sh(Job(parameters=names), "echo 1 > b")
    assert report.parameters == {"b": "1"}
    assert "output parameter a:" in report.error
    assert "output parameter c:" in report.error


def test_a_parameter_behind_a_link_is_its_target(pod: Pod) -> None:
    assert pod.sh(parameter(), "echo v > real; ln -s real value")[1].parameters == {"p": "v"}


def test_a_link_to_nothing_is_missing(pod: Pod) -> None:
    assert pod.sh(parameter(default="d"), "ln -s nothing value")[1].parameters == {"p": "d"}


def test_a_copy_replaced_by_a_link_is_refused(pod: Pod, tmp_path: Path) -> None:
    """Main can write to the shared folder; it must not make wait read what only wait may."""
    secret = tmp_path / "secret"
    secret.write_text("do not tell")
    job = parameter()
    pod.init(job)
    pod.main(job, "sh", "-c", "true")
    (pod.root / "outputs/parameters/p").symlink_to(secret)
    report = pod.wait(job)
    assert "replaced by a link" in report.error
    assert "do not tell" not in report.line()


@pytest.mark.parametrize("size", [262143, 262144, 262145, 262146, 400000])
def test_the_result_is_the_end_of_stdout(pod: Pod, size: int) -> None:
    """First one newline is taken off, then the last 262144 bytes stay."""
    text = "".join(f"{i:07d}\n" for i in range(size // 8 + 1))[-size:]
    (pod.files / "text").write_text(text)
    assert text.endswith("\n")
    assert len(text) == size
    _, report = pod.run(RESULT, "cat", "text")
    assert report.result == text[:-1][-262144:]


def test_a_binary_result_is_replaced_where_it_is_not_text(pod: Pod) -> None:
    code, report = pod.sh(RESULT, r"printf 'a\377\000b\n'")
    assert (code, report.result) == (0, "a\ufffd\0b")


def test_stderr_is_no_part_of_the_result(pod: Pod) -> None:
    assert pod.sh(RESULT, "echo no >&2; echo yes")[1].result == "yes"


def test_nothing_printed_is_an_empty_result(pod: Pod) -> None:
    assert pod.sh(RESULT, "true")[1].result == ""


def test_wait_follows_main_from_before_its_start_to_its_end(pod: Pod) -> None:
    pod.init(RESULT)
    wait = pod.start("wait", RESULT)
    main = pod.start_main(RESULT, "sh", "-c", "read x; echo $x", stdin=-1)
    assert wait.poll() is None
    out, _ = main.communicate(b"now\n")
    log, _ = wait.communicate()
    assert out == b"now\n"
    assert Report.from_log(log.decode()).result == "now"


def test_a_kill_of_main_is_noticed_and_what_there_is_reported(pod: Pod) -> None:
    names = (OutputParameter("a", "a"), OutputParameter("b", "b", "default"))
    job = Job(parameters=names, result=True)
    pod.init(job)
    wait = pod.start("wait", job)
    main = pod.start_main(job, "sh", "-c", "echo v > a; echo ready; echo $$; sleep 600")
    assert main.stdout is not None
    assert main.stdout.readline() == b"ready\n"
    group = int(main.stdout.readline())
    main.kill()
    log, _ = wait.communicate()
    os.killpg(group, signal.SIGKILL)  # a real container's processes die with the wrapper, its first one
    report = Report.from_log(log.decode())
    assert report.exit_code is None
    assert report.result == f"ready\n{group}"
    assert report.parameters == {"b": "default"}
    assert report.error == "output parameter a: a: main was killed before its outputs were saved"


def test_the_end_of_the_pod_ends_main_and_wait_still_saves(pod: Pod) -> None:
    job = parameter()
    pod.init(job)
    wait = pod.start("wait", job)
    main = pod.start_main(job, "sh", "-c", "trap 'echo v > value; exit 1' TERM; echo ready; sleep 600 & wait")
    assert main.stdout is not None
    main.stdout.readline()
    while signal.SIGTERM not in ignored(wait.pid):  # wait has seen main
        assert wait.poll() is None
    wait.terminate()
    main.terminate()
    assert Report.from_log(wait.communicate()[0].decode()) == Report(parameters={"p": "v"}, exit_code=1)


def ignored(pid: int) -> set[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn:"))
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}


def test_the_end_of_the_pod_before_main_started_ends_wait(pod: Pod) -> None:
    pod.init(RESULT)
    wait = pod.start("wait", RESULT)
    while not caught(wait.pid):
        assert wait.poll() is None
    wait.terminate()
    log, _ = wait.communicate()
    assert wait.returncode == 1
    assert Report.from_log(log.decode()).error == "the pod was ended before its main container started"


def caught(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(line.startswith("SigCgt:") and int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1 for line in lines)


def test_a_file_is_stored_as_a_tgz_of_one_entry(pod: Pod, bucket: Bucket) -> None:
    job = artifact(bucket, str(pod.files / "out/file.txt"))
    _, report = pod.sh(job, "mkdir out; echo content > out/file.txt; chmod 640 out/file.txt")
    location = {**bucket.location("some/key"), "archive": "tar"}
    assert report == Report(artifacts={"a": location}, exit_code=0)
    assert members(bucket.read("some/key")) == {"file.txt": b"content\n"}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_is_stored_as_a_tgz_under_its_name(pod: Pod, bucket: Bucket, slash: str) -> None:
    long = "n" * 150
    script = f"mkdir -p d/sub/{long} d/empty; echo 1 > d/one; echo 2 > d/sub/{long}/two; ln -s sub/{long} d/link"
    _, report = pod.sh(artifact(bucket, str(pod.files / "d") + slash), script)
    assert report.error == ""
    assert members(bucket.read("some/key")) == {
        "d": None,
        "d/empty": None,
        "d/one": b"1\n",
        "d/sub": None,
        f"d/sub/{long}": None,
        f"d/sub/{long}/two": b"2\n",
        "d/link": f"-> sub/{long}",
    }


def test_modes_times_and_sizes_are_kept_in_a_tar(pod: Pod, bucket: Bucket) -> None:
    pod.sh(artifact(bucket, "d"), "mkdir d; head -c 70000 /dev/zero > d/f; chmod 751 d/f; touch -d @1000000 d/f")
    with tarfile.open(fileobj=io.BytesIO(bucket.read("some/key"))) as tar:
        member = tar.getmember("d/f")
    assert (member.size, member.mode, member.mtime) == (70000, 0o751, 1000000)


def test_a_link_given_as_the_path_is_followed(pod: Pod, bucket: Bucket) -> None:
    pod.sh(artifact(bucket, "link"), "mkdir real; echo 1 > real/f; ln -s real link")
    assert members(bucket.read("some/key")) == {"link": None, "link/f": b"1\n"}


def test_a_glob_of_several_is_several_entries(pod: Pod, bucket: Bucket) -> None:
    pod.sh(artifact(bucket, f"{pod.files}/*.csv"), "echo a > a.csv; echo b > b.csv; echo c > c.txt")
    assert members(bucket.read("some/key")) == {"a.csv": b"a\n", "b.csv": b"b\n"}


def test_a_name_that_looks_like_a_glob_is_that_file(pod: Pod, bucket: Bucket) -> None:
    pod.sh(artifact(bucket, "[ab]"), "echo literal > '[ab]'; echo a > a")
    assert members(bucket.read("some/key")) == {"[ab]": b"literal\n"}


def test_compression_level_is_used(pod: Pod, bucket: Bucket) -> None:
    pod.sh(artifact(bucket, "f", compression_level=0), "head -c 500000 /dev/zero > f")
    data = bucket.read("some/key")
    assert len(data) > 500000
    assert len(gzip.decompress(data)) >= 500000


def test_without_archive_a_file_is_stored_as_it_is(pod: Pod, bucket: Bucket) -> None:
    _, report = pod.sh(artifact(bucket, "f", "none"), r"printf 'a\000b\n' > f")
    assert bucket.read("some/key") == b"a\0b\n"
    assert report.artifacts["a"]["archive"] == "none"


def test_without_archive_a_folder_is_stored_file_by_file(pod: Pod, bucket: Bucket) -> None:
    script = "mkdir -p d/sub d/empty; echo 1 > d/one; echo 2 > d/sub/two; ln -s one d/link"
    _, report = pod.sh(artifact(bucket, f"{pod.files}/d", "none"), script)
    assert report.error == ""
    found = {str(path.relative_to(bucket.folder)) for path in bucket.folder.rglob("*") if path.is_file()}
    assert found == {"some/key/one", "some/key/sub/two", "some/key/link"}
    assert bucket.read("some/key/link") == b"1\n"


def test_forty_megabytes_go_through_in_parts(pod: Pod, bucket: Bucket) -> None:
    data = os.urandom(1 << 20) * 40
    (pod.files / "big").write_bytes(data)
    _, report = pod.run(artifact(bucket, "big", compression_level=1), "true")
    assert report.error == ""
    assert members(bucket.read("some/key")) == {"big": data}


def test_a_missing_optional_artifact_is_left_out(pod: Pod, bucket: Bucket) -> None:
    assert pod.sh(artifact(bucket, "none", optional=True), "true")[1] == Report(exit_code=0)


def test_a_missing_artifact_is_an_error(pod: Pod, bucket: Bucket) -> None:
    _, report = pod.sh(artifact(bucket, "/no/where"), "true")
    assert report.error == "artifact a failed to save: /no/where: no such file or directory"


def test_an_artifact_main_cannot_read_is_an_error_that_names_the_file(pod: Pod, bucket: Bucket) -> None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root reads everything")
    job = artifact(bucket, str(pod.files / "d"))
    pod.init(job)
    for folder in pod.files.parents:
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    (pod.files / "d").mkdir()
    (pod.files / "d/secret").touch(mode=0)
    main = pod.start_main(job, "true", user=65534 if os.geteuid() == 0 else None)
    _, err = main.communicate()
    assert main.returncode == 0
    assert b"d/secret: Permission denied" in err
    assert pod.wait(job).error == f"artifact a failed to save: {pod.files}/d/secret: Permission denied"


def test_a_bucket_that_does_not_exist_is_an_error(pod: Pod, bucket: Bucket) -> None:
    location = {"s3": {**bucket.location("k")["s3"], "bucket": "no-such-bucket"}}
    job = Job(artifacts=(OutputArtifact("a", "f", location),))
    error = pod.sh(job, "echo 1 > f")[1].error
    assert error.startswith("artifact a failed to save: s3://no-such-bucket/k: ")
    assert "NoSuchBucket" in error


def test_wrong_keys_are_an_error(pod: Pod, bucket: Bucket) -> None:
    pod.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    error = pod.sh(artifact(bucket, "f"), "echo 1 > f")[1].error
    assert error.startswith("artifact a failed to save: s3://")
    assert "wrong" not in error


def test_a_server_that_does_not_answer_is_an_error(pod: Pod, bucket: Bucket) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        location = {"s3": {**bucket.location("k")["s3"], "endpoint": f"127.0.0.1:{free.getsockname()[1]}"}}
    job = Job(artifacts=(OutputArtifact("a", "f", location),))
    assert "Could not connect to the endpoint" in pod.sh(job, "echo 1 > f")[1].error


def test_another_store_than_s3_is_refused_by_name(pod: Pod) -> None:
    job = Job(artifacts=(OutputArtifact("a", "f", {"gcs": {"bucket": "b", "key": "k"}}),))
    assert pod.sh(job, "echo 1 > f")[1].error == "artifact a failed to save: location gcs: only s3 is supported"


def test_boto3_is_not_imported_without_artifacts(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "boto3.py").write_text("raise SystemExit('imported')")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from argo_airflow.helper.__main__ import main; main(['wait'])"
    )
    job = Job(parameters=(OutputParameter("p", "f"),), result=True)
    pod.init(job)
    pod.main(job, "sh", "-c", "echo 1 > f")
    env = {**os.environ, **job.to_env(), "ARGO_HELPER_ROOT": str(pod.root)}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    process = pod._popen([sys.executable, "-c", script, str(tmp_path)], env=env)
    out, err = process.communicate()
    assert err == b""
    assert Report.from_log(out.decode()).parameters == {"p": "1"}


def test_init_leaves_what_another_user_can_write_to(pod: Pod) -> None:
    pod.init(RESULT)
    for folder in ("outputs/parameters", "outputs/artifacts", "inputs/artifacts"):
        assert (pod.root / folder).stat().st_mode & 0o777 == 0o777
    assert Path(state_path(root=str(pod.root))).stat().st_mode & 0o777 == 0o777
    assert (pod.root / "wrapper").stat().st_mode & 0o777 == 0o755
