"""The server as a process: crash, restart, lock, bad arguments."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPOSITORY, Server, flavours, wait_for


def alive(marker: str) -> list[int]:
    """Processes whose command line holds ``marker``; zombies have none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in words and b"argo_airflow.local" not in words:
                found.append(int(entry.name))
    return found


def start(home: Path, flavour: tuple[str, int | None]) -> Server:
    if flavour[1]:
        home.chmod(0o755)
        shutil.chown(home, flavour[1], flavour[1])
    return Server(home, *flavour)


@pytest.mark.parametrize("flavour", flavours())
@pytest.mark.parametrize("user", [0, 1234])
def test_kill_of_the_server_leaves_no_container_and_restart_sweeps(
    home: Path, flavour: tuple[str, int | None], user: int
) -> None:
    server = start(home, flavour)
    marker = f"98765{os.getpid()}{user}"
    name = server.pod(
        f"trap '' TERM HUP; setsid sleep {marker} & sleep {marker}; true",
        container={"securityContext": {"runAsUser": user}},
    )
    server.running(name)
    wait_for(lambda: len(alive(f"sleep\0{marker}")) >= 2, "both processes run")
    token = (home / "token").read_text()
    server.stop(signal.SIGKILL)
    wait_for(lambda: not alive(marker), "no process is left")
    assert list((home / "pods").iterdir())
    again = start(home, flavour)
    assert not (home / "pods").exists()
    assert (home / "token").read_text() == token
    assert again.run("echo works")[1] == "works\n"
    assert again.stop() == 0


@pytest.mark.parametrize("flavour", flavours())
def test_sigterm_ends_all_pods(home: Path, flavour: tuple[str, int | None]) -> None:
    server = start(home, flavour)
    marker = f"87654{os.getpid()}"
    for _ in range(3):
        server.running(server.pod(f"trap '' TERM; while :; do sleep {marker}; done"))
    wait_for(lambda: len(alive(f"sleep\0{marker}")) == 3, "all run")
    assert server.stop() == 0
    assert not alive(marker)
    assert not (home / "pods").exists()


def refused(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "argo_airflow.local", *words], capture_output=True, text=True, cwd=REPOSITORY,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_one_server_per_home(home: Path) -> None:
    server = Server(home, "")
    assert "another pod runtime uses" in refused("--home", str(home))
    port = server.ready.split("127.0.0.1:")[1].split()[0]
    assert f"cannot listen on 127.0.0.1:{port}" in refused("--home", str(home / "other"), "--port", port)
    assert server.stop() == 0


def test_a_broken_image_index_is_located(home: Path) -> None:
    index = home / "images.yaml"
    index.write_text("images:\n  x:\n    entrypont: [a]\n")
    assert f"{index}:3:16: image index: images.x.entrypont: unknown field" in refused(
        "--home", str(home), "--images", str(index)
    )


def test_strict_index_is_an_image_that_cannot_be_pulled(home: Path) -> None:
    index = home / "images.yaml"
    index.write_text("strict: true\nimages:\n  known: {}\n")
    server = Server(home / "pods", "", None, "--images", str(index))
    assert server.run("echo a", container={"image": "known:1"})[1] == "a\n"
    name = server.pod("true", container={"image": "other"})
    waiting = wait_for(lambda: server.read(name).status.container_statuses[0].state.waiting, "waiting")
    waiting = wait_for(
        lambda: (w := server.read(name).status.container_statuses[0].state.waiting).message and w, "reason"
    )
    assert waiting.reason == "ErrImagePull"
    assert server.stop() == 0


def test_an_image_can_be_a_folder(home: Path) -> None:
    """A root of its own: one static-ish binary with its libraries, no shell of the host."""
    root = home / "root"
    binary = shutil.which("cat")
    libraries = [
        word
        for word in subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout.split()
        if word.startswith("/")
    ]
    for path in (binary, *libraries):
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (root / "etc").mkdir()
    (root / "etc" / "motto").write_text("small\n")
    index = home / "images.yaml"
    index.write_text("images: {small: {root: root}}\n")
    for engine in ("unshare", "bubblewrap") if shutil.which("bwrap") else ("unshare",):
        server = Server(home / engine, engine, None, "--images", str(index))
        pod, log = server.run([binary, "/etc/motto", "/etc/passwd"], container={"image": "small"})
        assert log.splitlines()[0] == "small"
        assert "/etc/passwd: No such file" in log
        assert pod.status.phase == "Failed"
        assert server.stop() == 0
    assert sorted(path.name for path in root.iterdir()) == sorted(
        {Path(p).parts[1] for p in (binary, *libraries)} | {"etc"}
    )
