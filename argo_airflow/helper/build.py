"""Compiles the wrapper, the one part that is not Python, for the machines pods run on.

Hatchling calls :class:`CustomBuildHook` for wheels and editable installs; ``python argo_airflow/helper/build.py`` does
the same by hand. The compiler is PyPI's ``ziglang``: it builds static musl programs for either machine on any machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run by hand, or imported where nothing is built
    BuildHookInterface = object  # type: ignore[assignment,misc]

TARGETS = {"amd64": "x86_64-linux-musl", "arm64": "aarch64-linux-musl"}
FLAGS = ("-std=c11", "-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror")


def compile_wrapper(helper: Path, force: bool = False) -> list[Path]:
    """Compile ``helper/*.c`` to ``helper/bin/wrapper-<arch>``, skipping what is newer than its sources.

    Raises:
        RuntimeError: the compiler is missing or refuses the source; the message has its output.
    """
    sources = sorted(helper.glob("*.c"))
    newest = max(path.stat().st_mtime for path in (*sources, *helper.glob("*.h")))
    (helper / "bin").mkdir(exist_ok=True)
    binaries = [helper / "bin" / f"wrapper-{arch}" for arch in TARGETS]
    for binary, target in zip(binaries, TARGETS.values(), strict=True):
        if force or not binary.exists() or binary.stat().st_mtime < newest:
            _compile(sources, target, binary)
    return binaries


def _compile(sources: list[Path], target: str, binary: Path) -> None:
    # beside the binary, then renamed: two builds at once, or one that is cut off, leave no half program
    with tempfile.TemporaryDirectory(dir=binary.parent, prefix=".build-") as folder:
        result = Path(folder, binary.name)
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *FLAGS, "-o", str(result)]
        done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the wrapper does not compile for {target}:\n{done.stderr or done.stdout}")
        result.chmod(0o755)
        os.replace(result, binary)


class CustomBuildHook(BuildHookInterface):
    """Puts the compiled wrapper into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile before Hatchling collects the files (``artifacts`` in pyproject.toml lists the result)."""
        compile_wrapper(Path(self.root, "argo_airflow", "helper"))


if __name__ == "__main__":
    for path in compile_wrapper(Path(__file__).resolve().parent):
        print(f"{path} ({path.stat().st_size} bytes)")
