"""The engines that run one container as a sandboxed process: bubblewrap, and util-linux's ``unshare``.

Both give own PID, mount, IPC and UTS namespaces and the host's network, make the container's first process PID 1 (so
signals act as in a container), and die with the server. Root or not; who is not root gets a user namespace.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.local.mounts import Bind, Folder, Kernel, Link, Overlay, Root, Step, Tmpfs

MARK = "ARGO_AIRFLOW_LOCAL"
"""In the environment of an engine's own process, its value the runtime's home: what a crash left is found by it."""
_CAPABILITIES = (
    "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service", "net_raw",
    "sys_chroot", "mknod", "setfcap",
)  # fmt: skip
"""What a container's root user may do, as container engines have it by default."""


@dataclass(frozen=True)
class Box:
    """One container to be run."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    workdir: str
    hostname: str
    root: Root
    binds: tuple[Bind, ...] = ()
    user: int | None = None


class Engine(Protocol):
    """How a :class:`Box` becomes a process of this machine."""

    name: str
    info_on_stdin: bool
    """The pipe for the pid is stdin, not an inherited descriptor."""
    killed_note: bytes
    """What the engine says, with exit code 1, where it should end as its container did: by SIGKILL."""
    in_memory: bool | None
    """Where an overlay's upper folder lies; None: no overlay, a skeleton."""

    def command(self, box: Box, info: int) -> tuple[list[str], list[int]]:
        """The command line, and file descriptors it inherits (closed by the caller); ``info`` is a pipe's end."""

    def pid(self, info: bytes) -> int | None:
        """The container's PID 1, as seen here, from what the engine wrote to ``info``."""

    def start_failure(self, code: int, output: bytes) -> str | None:
        """Why the container's command never ran, if it did not; ``output`` is the beginning of its log."""


@dataclass
class Bubblewrap:
    """https://github.com/containers/bubblewrap, 0.4 or later."""

    in_memory: bool | None = False
    name: str = "bubblewrap"
    binary: str = "bwrap"
    info_on_stdin: bool = False
    killed_note: bytes = b""

    def command(self, box: Box, info: int) -> tuple[list[str], list[int]]:
        words = ["--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1"]
        words += ["--hostname", box.hostname, "--info-fd", str(info)]
        before: list[str] = []
        if self.in_memory is None:
            steps = box.root.skeleton_steps(box.binds)
        else:
            overlay = box.root.overlay(self.in_memory)
            steps = box.root.overlay_steps(box.binds)
            script = f'{_overlay_script(overlay)} && exec "$0" "$@"'
            before = ["unshare", *_user_namespace(), "--mount", "--propagation", "private", "sh", "-c", script]
            words += ["--bind", overlay.merged, "/"]
        for step in steps:
            words += self._words(step)
        words += self._rights(box, bool(before))
        words += ["--clearenv", *(word for item in box.env.items() for word in ("--setenv", *item))]
        words += ["--chdir", box.workdir]
        # On a descriptor: a secret in a variable must not be on a command line, and there is no limit of length.
        args = _as_file("\0".join(words))
        return [*before, "bwrap", "--args", str(args), "--", *box.argv], [args]

    def _words(self, step: Step) -> list[str]:
        match step:
            case Bind():
                return ["--ro-bind" if step.read_only else "--bind", step.source, step.target]
            case Tmpfs():
                return ["--tmpfs", step.target]
            case Folder():
                return ["--dir", step.target]
            case Link():
                return ["--symlink", step.text, step.target]
            case Kernel():
                return [f"--{step.kind}", f"/{step.kind}"]

    def _rights(self, box: Box, nested: bool) -> list[str]:
        if os.getuid() and not nested:
            return ["--unshare-user", "--uid", str(box.user or 0), "--gid", str(box.user or 0)]
        if box.user:
            return ["--unshare-user", "--uid", str(box.user), "--gid", str(box.user)]
        return ["--cap-drop", "ALL", *(word for cap in _CAPABILITIES for word in ("--cap-add", f"CAP_{cap.upper()}"))]

    def pid(self, info: bytes) -> int | None:
        try:
            return int(json.loads(info)["child-pid"])
        except (ValueError, KeyError):
            return None

    def start_failure(self, code: int, output: bytes) -> str | None:
        if code != 1 or not (found := re.fullmatch(rb"bwrap: (execvp )?(.*)\n?", output)):
            return None
        text = found[2].decode(errors="replace")
        return _not_executable(*text.rsplit(": ", 1)) if found[1] and ": " in text else text


@dataclass
class Unshare:
    """util-linux's unshare, mount and setpriv (2.36 or later) and a POSIX shell."""

    in_memory: bool | None = False
    name: str = "unshare"
    binary: str = "unshare"
    info_on_stdin: bool = True
    killed_note: bytes = b"unshare: sigprocmask unblock failed: Invalid argument\n"  # a bug of util-linux 2.38

    def command(self, box: Box, info: int) -> tuple[list[str], list[int]]:  # noqa: ARG002 (it is stdin)
        if self.in_memory is None:
            merged = str(box.root.scratch / "root")
            os.makedirs(merged, exist_ok=True)
            lines, steps = [], box.root.skeleton_steps(box.binds)
        else:
            overlay = box.root.overlay(self.in_memory)
            merged = overlay.merged
            lines, steps = [_overlay_script(overlay)], box.root.overlay_steps(box.binds)
        for step in steps:
            lines += self._lines(step, merged)
        script = box.root.scratch / "start"
        errors = shlex.quote(str(box.root.scratch / "errors"))
        # stdin is the pipe for the pid: the one descriptor a POSIX shell can surely name and close.
        own = "read pid rest </proc/self/stat; echo $pid >&0; exec </dev/null 9>&2"
        setup = [f"set -e\n{own} 2>{errors}", f"hostname {shlex.quote(box.hostname)} 2>/dev/null || :", *lines]
        setup += [f"cd {shlex.quote(merged)}\nexec 2>&9 9>&-", self._final(box)]
        script.touch(0o600)
        script.write_text("\n".join(setup), "utf-8", "surrogateescape")
        spaces = ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child=KILL", "--propagation", "private"]
        return ["setpriv", "--pdeathsig", "KILL", "unshare", *_user_namespace(), *spaces, "sh", str(script)], []

    def _final(self, box: Box) -> str:
        words = ["exec", "env", "-i", *(f"{key}={value}" for key, value in box.env.items())]
        words += ["setpriv", "--bounding-set", ",".join(["-all", *(f"+{cap}" for cap in _CAPABILITIES)])]
        words += ["unshare", "--root=.", f"--wd={box.workdir}"]
        if box.user:
            words += ["--user", f"--map-user={box.user}", f"--map-group={box.user}"]
        last = shlex.join([*words, "--", *box.argv]) + "\n"
        # Made the namespace's root, so that root cannot leave the chroot; others cannot, and the kernel gives no user
        # namespace after the move.
        return last if box.user else f"mount -n --move . /\n{last}"

    def _lines(self, step: Step, merged: str) -> list[str]:
        place = shlex.quote(merged + (step.target if not isinstance(step, Kernel) else f"/{step.kind}"))
        match step:
            case Bind():
                make = f"[ -e {place} ] || mkdir -p {place}"
                if not os.path.isdir(step.source):
                    make = f'[ -e {place} ] || {{ mkdir -p "$(dirname {place})"; : >{place}; }}'
                return [make, f"mount -o rbind{_locked_options(step)} {shlex.quote(step.source)} {place}"]
            case Tmpfs():
                return [f"mkdir -p {place}; mount -t tmpfs -o mode=755 tmpfs {place}"]
            case Folder():
                return [f"mkdir -p {place}"]
            case Link():
                return [f"ln -s {shlex.quote(step.text)} {place}"]
            case Kernel(kind="proc"):
                return [f"mkdir -p {place}; mount -t proc proc {place}"]
        return _DEV.format(dev=place).splitlines()

    def pid(self, info: bytes) -> int | None:
        return int(info) if info.endswith(b"\n") and info.strip().isdigit() else None

    def start_failure(self, code: int, output: bytes) -> str | None:
        found = re.fullmatch(rb"unshare: (failed to execute )?(.*)\n?", output)
        if code not in (1, 126, 127) or not found:
            return None
        text = found[2].decode(errors="replace")
        return _not_executable(*text.rsplit(": ", 1)) if found[1] and ": " in text else text


_DEV = """mkdir -p {dev}; mount -t tmpfs -o mode=755 tmpfs {dev}
mkdir {dev}/shm {dev}/pts; mount -t tmpfs -o mode=1777 tmpfs {dev}/shm
for node in null zero full random urandom tty; do : >{dev}/$node; mount --bind /dev/$node {dev}/$node; done
ln -s /proc/self/fd {dev}/fd; ln -s fd/0 {dev}/stdin; ln -s fd/1 {dev}/stdout; ln -s fd/2 {dev}/stderr
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts {dev}/pts && ln -s pts/ptmx {dev}/ptmx"""

ENGINES: tuple[Callable[[], Bubblewrap | Unshare], ...] = (Bubblewrap, Unshare)
"""In order of preference."""


def _locked_options(step: Bind) -> str:
    """Options for a read-only bind; in a user namespace what the mount below forbids must stay forbidden."""
    if not step.read_only:
        return ""
    flags = os.statvfs(step.source).f_flag
    known = {"nosuid": os.ST_NOSUID, "nodev": os.ST_NODEV, "noexec": os.ST_NOEXEC, "noatime": os.ST_NOATIME}
    return "".join(f",{name}" for name, flag in {"ro": -1, **known}.items() if flags & flag or flag == -1)


def _user_namespace() -> list[str]:
    return ["--user", "--map-root-user"] if os.getuid() else []


def _overlay_script(overlay: Overlay) -> str:
    options = f"lowerdir={overlay.lower},upperdir={overlay.upper},workdir={overlay.work},volatile"
    stage = shlex.quote(os.path.dirname(overlay.merged))
    made = shlex.join([overlay.upper, overlay.work, overlay.merged])
    first = f"mount -t tmpfs tmpfs {stage} && mkdir -p {made} && " if overlay.in_memory else ""
    return f"{first}mount -t overlay overlay -o {shlex.quote(options)} {shlex.quote(overlay.merged)}"


def _not_executable(name: str, reason: str) -> str:
    return f'exec: "{name}": {reason} (is the command in the image, and executable?)'


def _as_file(text: str) -> int:
    fd = os.memfd_create("args")
    os.write(fd, text.encode("utf-8", "surrogateescape"))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def engine_environment(home: Path) -> dict[str, str]:
    """The environment of an engine's own process (never the container's)."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", MARK: str(home)}


def choose(home: Path, name: str = "") -> Engine:
    """The first engine of :data:`ENGINES` (or the one named) that can run ``true`` here, with the best root it can.

    Raises:
        LocalRuntimeError: none can; the message says what each said and what usually helps.
    """
    said = []
    for make in ENGINES:
        engine = make()
        if name and engine.name != name:
            continue
        if not shutil.which(engine.binary):
            said.append(f"{engine.name}: not installed")
            continue
        # In a user namespace the kernel allows no overlay over "/": what is mounted below it is locked.
        for in_memory in (None,) if os.getuid() else (False, True, None):
            candidate = replace(engine, in_memory=in_memory)
            if not (problem := _try(candidate, home)):
                return candidate
        said.append(f"{engine.name}: {problem}")
    raise LocalRuntimeError(
        "containers cannot be run as sandboxed processes on this machine. "
        + "; ".join(said or [f"no engine {name!r}"])
        + ". Install bubblewrap, and allow user namespaces (sysctl user.max_user_namespaces, "
        "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0), or run as root."
    )


def _try(engine: Engine, home: Path) -> str:
    with tempfile.TemporaryDirectory(dir=home, prefix="trial-", ignore_cleanup_errors=True) as folder:
        source = Path(folder, "source")
        source.mkdir()
        root = Root("/", Path(folder), str(home))
        binds = (Bind(str(source), "/argo-trial/mount", True),)
        box = Box(("touch", "/argo-trial-file"), {"PATH": os.defpath}, "/", "trial", root, binds)
        read, write = os.pipe()
        line, extra = engine.command(box, write)
        try:
            done = subprocess.run(
                line, pass_fds=[write, *extra], env=engine_environment(home), timeout=60, check=False,
                stdin=write if engine.info_on_stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        finally:
            for fd in (read, write, *extra):
                os.close(fd)
        errors = Path(folder, "errors")
        text = done.stdout.decode(errors="replace") + (errors.read_text() if errors.exists() else "")
        release(Path(folder))
    return (text.strip() or f"exit code {done.returncode}") if done.returncode else ""


def release(folder: Path) -> None:
    """Remove a container's or a pod's folder; an overlay leaves folders without any rights behind."""

    def retry(_function: Callable[[str], object], path: str, _error: object) -> None:
        try:
            os.chmod(os.path.dirname(path), 0o700)
            os.chmod(path, 0o700)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
        except OSError:
            pass

    shutil.rmtree(folder, onerror=retry)
