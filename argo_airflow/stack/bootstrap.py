"""From a clean clone to a running command: makes ``.venv``, installs the lock file, starts over inside.

Runs on the system's Python with nothing installed: standard library only, and no syntax newer than that of Python 3.8,
so that an old Python gets a message instead of a SyntaxError.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
OLDEST_PYTHON = (3, 11)

_STAMP = VENV / "installed"
_LOG = VENV / "install.log"


class BootstrapError(Exception):
    """The environment cannot be made; the message says what to do."""


def enter(arguments: Sequence[str], programs: Sequence[str] = ()) -> None:
    """Make sure this process runs in ``.venv`` with what the lock file names; else set that up and start over there.

    Args:
        arguments: what follows ``python`` to start this command again.
        programs: system programs the command is better with (``bwrap``), installed by apt where root may.

    Returns when all is in place. Where this package is not a clone (installed from a wheel) there is nothing to do.
    Ends the process with a plain message where the environment cannot be made.
    """
    if not LOCK.exists():
        return
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    if inside and _installed() == _wanted():
        return
    try:
        _set_up(programs)
    except BootstrapError as error:
        sys.exit(f"error: {error}")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    os.execve(str(_python()), [str(_python()), *arguments], environment)


def _set_up(programs: Sequence[str]) -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise BootstrapError(
            "Python {}.{} or newer is needed; this is {}".format(*OLDEST_PYTHON, sys.version.split()[0])
        )
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once: the second waits
        if _installed() != _wanted():
            began = time.monotonic()
            print(f"Setting up {VENV} (once; takes a minute or two)", flush=True)
            pip = _make_venv()
            _install(pip)
            _STAMP.write_text(_wanted())
            print(f"Set up in {time.monotonic() - began:.0f} s", flush=True)
        for program in programs:
            _install_program(program)


def _wanted() -> str:
    """A fingerprint of everything the installation depends on."""
    digest = hashlib.sha256("{}.{}".format(*sys.version_info[:2]).encode())
    sources = sorted((ROOT / "argo_airflow" / "helper").glob("*.[ch]"))
    for file in (LOCK, ROOT / "pyproject.toml", ROOT / "argo_airflow" / "helper" / "build.py", *sources):
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()


def _installed() -> str:
    try:
        return _STAMP.read_text() if _python().exists() else ""
    except OSError:
        return ""


def _python() -> Path:
    return VENV / "bin" / "python"


def _make_venv() -> list[str]:
    """Make the virtual environment if it is missing or of another Python; returns the pip command that fills it."""
    if not _usable():
        try:
            shutil.rmtree(VENV, ignore_errors=True)
            VENV.mkdir()
        except OSError as error:
            raise BootstrapError(f"cannot make {VENV}: {error.strerror}") from None
        _create()
    own = [str(_python()), "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    return [sys.executable, "-m", "pip", "--python", str(_python())]


def _usable() -> bool:
    code = "import sys; print('{}.{}'.format(*sys.version_info[:2]))"
    if not _python().exists():
        return False
    answer = subprocess.run([str(_python()), "-c", code], capture_output=True, text=True)
    return answer.stdout.strip() == "{}.{}".format(*sys.version_info[:2])


def _create() -> None:
    """Debian keeps ensurepip in a package of its own; there the system's pip can fill the environment, or apt helps."""
    venv = [sys.executable, "-m", "venv"]
    if importlib.util.find_spec("ensurepip") and _run([*venv, str(VENV)]):
        return
    if importlib.util.find_spec("pip") and _run([*venv, "--without-pip", "--clear", str(VENV)]):
        return
    package = "python{}.{}-venv".format(*sys.version_info[:2])
    if (_apt_install(package) or _apt_install("python3-venv")) and _run([*venv, "--clear", str(VENV)]):
        return
    raise BootstrapError(
        "Python cannot make a virtual environment with pip here. Type:\n"
        f"    sudo apt-get install {package}\nand start again"
    )


def _install(pip: list[str]) -> None:
    command = [*pip, "install", "--compile", "--disable-pip-version-check", "--no-input"]
    for step in (["--requirement", str(LOCK)], ["--no-deps", "--editable", str(ROOT)]):
        if not _run([*command, *step]):
            lines = _LOG.read_text(errors="replace").splitlines()[-15:]
            raise BootstrapError(
                "pip could not install into {}; its log {} ends:\n{}".format(
                    VENV, _LOG, "\n".join("    " + line for line in lines)
                )
            )


def _install_program(program: str) -> None:
    """Try once to have a system program; the command does without it where that fails."""
    package = {"bwrap": "bubblewrap"}.get(program, program)
    tried = VENV / f"tried-{package}"
    if shutil.which(program) or tried.exists() or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print(f"Installing the system package {package}", flush=True)
    if not _apt_install(package):
        print(f"  it could not be installed; going on without (see {_LOG})", flush=True)
    tried.touch()


def _apt_install(package: str) -> bool:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    install = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    return _run(install) or (_run(["apt-get", "update"]) and _run(install))


def _run(command: list[str]) -> bool:
    """Run a step of the set-up, its output into the log; True where it succeeded."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment["DEBIAN_FRONTEND"] = "noninteractive"
    VENV.mkdir(exist_ok=True)
    with _LOG.open("a") as log:
        print("$", *command, file=log, flush=True)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    return done.returncode == 0
