"""The C program around the user's command, run for real. Expected: semantics.md §2.8, §2.17."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from argo_airflow.helper.contract import Job, OutputParameter, Report, state_path

from .conftest import HELPER, Pod

RESULT = Job(result=True)


def recorded(pod: Pod, name: str = "exitcode") -> str:
    return Path(state_path(root=str(pod.root)), name).read_text()


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_exit_code_is_the_commands(pod: Pod, code: int) -> None:
    pod.init(RESULT)
    assert pod.main(RESULT, "sh", "-c", f"exit {code}")[0] == code
    assert recorded(pod) == f"{code}\n"


def test_stdout_and_stderr_reach_the_containers_log_apart(pod: Pod) -> None:
    pod.init(RESULT)
    assert pod.main(RESULT, "sh", "-c", "echo out; echo err >&2") == (0, b"out\n", b"err\n")
    assert pod.wait(RESULT).result == "out"


def test_stdin_is_inherited(pod: Pod) -> None:
    pod.init(RESULT)
    process = pod.start_main(RESULT, "cat", stdin=subprocess.PIPE)
    assert process.communicate(b"from outside")[0] == b"from outside"


def test_arguments_and_environment_are_handed_on_untouched(pod: Pod) -> None:
    odd = ["--", "--capture", "", "a b", "$(HOME) `x` 'q' \"d\"", "ä\n\t"]
    script = "import os, sys; print(sys.argv[1:], os.environ['ODD'])"
    pod.init(RESULT)
    argv = [f"{pod.root}/wrapper", "--state", state_path(root=str(pod.root)), "--outputs", f"{pod.root}/outputs", "--"]
    done = subprocess.run(
        [*argv, sys.executable, "-c", script, *odd], env={**os.environ, "ODD": "x=y z"}, capture_output=True, check=True
    )
    assert done.stdout.decode() == f"{odd!r} x=y z\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program", 'exec: "no-such-program": executable file not found in $PATH'),
        ("/no/such/program", 'exec: "/no/such/program": No such file or directory'),
        ("/etc/passwd", 'exec: "/etc/passwd": Permission denied'),
    ],
)
def test_a_command_that_cannot_be_started_ends_with_64_and_says_why(pod: Pod, command: str, message: str) -> None:
    pod.init(RESULT)
    code, out, err = pod.main(RESULT, command)
    assert (code, out, err.decode()) == (64, b"", f"argo: {message}\n")
    report = pod.wait(RESULT)
    assert (report.exit_code, report.message, report.error) == (64, message, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_a_signal_is_128_plus_its_number(pod: Pod, number: int) -> None:
    code, report = pod.sh(RESULT, f"kill -{int(number)} $$")
    assert (code, report.exit_code) == (128 + number, 128 + number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_forwarded_and_a_trap_decides(pod: Pod, number: int) -> None:
    job = Job(result=True, parameters=(OutputParameter("p", "left"),))
    pod.init(job)
    main = pod.start_main(
        job, "sh", "-c", f"trap 'echo end > left; exit 7' {int(number)}; echo ready; sleep 600 & wait"
    )
    assert main.stdout is not None
    assert main.stdout.readline() == b"ready\n"
    main.send_signal(number)
    assert main.wait() == 7
    report = pod.wait(job)
    assert (report.exit_code, report.parameters) == (7, {"p": "end"})


def test_a_signal_without_a_trap_ends_the_command(pod: Pod) -> None:
    pod.init(RESULT)
    main = pod.start_main(RESULT, "sh", "-c", "echo ready; sleep 600")
    assert main.stdout is not None
    main.stdout.readline()
    main.terminate()
    assert main.wait() == 128 + signal.SIGTERM


def test_a_child_that_keeps_stdout_open_does_not_hold_the_pod(pod: Pod) -> None:
    code, report = pod.sh(RESULT, "sleep 600 & echo $!")
    assert (code, report.error) == (0, "")
    assert report.result is not None
    assert not Path("/proc", report.result).exists() or "Z" in Path("/proc", report.result, "stat").read_text()


def test_a_writer_that_outlives_the_command_is_heard(pod: Pod) -> None:
    code, report = pod.sh(RESULT, "(sleep 0.3; echo late) & exit 5")
    assert (code, report.result) == (5, "late")


def test_orphans_are_reaped(pod: Pod) -> None:
    script = "(sh -c 'exit 0' &) ; (sh -c 'exit 0' &) ; sleep 0.2; cat /proc/$PPID/task/$PPID/children"
    pod.init(RESULT)
    code, out, _ = pod.main(RESULT, "sh", "-c", script)
    assert code == 0
    assert len(out.split()) == 1  # only the shell itself is left


def test_ten_megabytes_pass_whole_and_only_the_end_is_kept(pod: Pod) -> None:
    pod.init(RESULT)
    script = "import sys\nfor i in range(10 << 17): sys.stdout.write('%07d\\n' % i)"
    code, out, _ = pod.main(RESULT, sys.executable, "-c", script)
    expected = b"".join(b"%07d\n" % i for i in range(10 << 17))
    assert (code, len(out)) == (0, 10 << 20)
    assert out == expected
    stdout = Path(state_path(root=str(pod.root)), "stdout")
    assert stdout.stat().st_size <= 262144 + 64
    assert pod.wait(RESULT).result == expected[:-1][-262144:].decode()


def test_a_reader_that_goes_away_does_not_stop_the_command(pod: Pod) -> None:
    job = Job(result=True, parameters=(OutputParameter("p", "done"),))
    pod.init(job)
    main = pod.start_main(job, "sh", "-c", "echo first; sleep 0.2; echo second; echo yes > done")
    assert main.stdout is not None
    main.stdout.close()
    assert main.wait() == 0
    report = pod.wait(job)
    assert (report.result, report.parameters) == ("first\nsecond", {"p": "yes"})


def test_bad_arguments_are_refused(pod: Pod) -> None:
    pod.init(RESULT)
    for words in ([], ["--"], ["--state", "x"], ["--what", "--", "true"], ["--copy", "x"]):
        done = subprocess.run([f"{pod.root}/wrapper", *words], capture_output=True, check=False)
        assert done.returncode == 64
        assert b"bad arguments" in done.stderr


def test_a_shared_folder_that_cannot_be_written_is_told(pod: Pod) -> None:
    pod.init(RESULT)
    shutil.rmtree(state_path(root=str(pod.root)))
    code, _, err = pod.main(RESULT, "true")
    assert code == 64
    assert b"cannot use" in err
    assert b"No such file or directory" in err


def test_an_empty_image_without_root_and_read_only_runs(pod: Pod) -> None:
    """What a scratch image is: nothing but a static program, as user 65534. Here that program is the wrapper itself."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("bubblewrap is not installed")
    pod.init(RESULT)
    sandbox = [bwrap, "--unshare-pid", "--as-pid-1", "--unshare-user", "--uid", "65534", "--gid", "65534"]
    sandbox += ["--ro-bind", f"{pod.root}/wrapper", "/hello", "--bind", str(pod.root), "/argo", "--remount-ro", "/"]
    argv = ["/argo/wrapper", "--state", "/argo/containers/main", "--outputs", "/argo/outputs", "--capture"]
    outputs = ["--copy", "parameters/p", "/hello", "--tar", "artifacts/a", "/argo/../hello"]
    done = subprocess.run([*sandbox, "--", *argv, *outputs, "--", "/hello"], capture_output=True, check=False)
    assert b"bad arguments" in done.stderr, done.stderr.decode()  # what /hello says
    assert done.returncode == 64
    assert (pod.root / "outputs/parameters/p").read_bytes() == (pod.root / "wrapper").read_bytes()
    assert (pod.root / "outputs/artifacts/a.tar").stat().st_size > (pod.root / "wrapper").stat().st_size
    assert recorded(pod) == "64\n"
    assert pod.wait(RESULT) == Report(result="", exit_code=64)


def test_another_user_than_inits_can_leave_outputs(pod: Pod) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv to become another user")
    for folder in (pod.root.parent, *pod.root.parents):  # pytest keeps its folders to itself
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    job = Job(result=True, script="id -u; umask 077; exit 4")
    pod.init(job)
    prefix = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
    argv = [f"{pod.root}/wrapper", "--state", state_path(root=str(pod.root)), "--outputs", f"{pod.root}/outputs"]
    words = ["--capture", "--", "sh", f"{pod.root}/staging/script"]
    done = subprocess.run([*prefix, *argv, *words], capture_output=True, check=False, cwd="/")
    assert (done.returncode, done.stdout) == (4, b"12345\n")
    assert pod.wait(job) == Report(result="12345", exit_code=4)


def test_both_architectures_are_static_programs() -> None:
    machines = {"amd64": 62, "arm64": 183}  # e_machine of ELF
    for name, number in machines.items():
        head = (HELPER / "bin" / f"wrapper-{name}").read_bytes()
        assert head[:5] == b"\x7fELF\x02"
        assert int.from_bytes(head[18:20], "little") == number
        assert b"ld-musl" not in head
        assert b"ld-linux" not in head
