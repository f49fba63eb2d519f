"""Read dags/images.yaml as its header says, to run what stands for an image directly as a process.

Written from the header and not from the embedded runtime's reader, so that a fault there is not repeated here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

DAGS = Path(__file__).resolve().parents[2] / "dags"
INDEX = yaml.safe_load((DAGS / "images.yaml").read_text())["images"]
VENV = str(Path(sys.executable).parent)


def entry(image: str) -> dict | None:
    """The index entry of an image, or None."""
    if image in INDEX:
        return INDEX[image]
    return next((value for pattern, value in INDEX.items() if fnmatchcase(image, pattern)), None)


def host_path(image: dict, path: str) -> str:
    """The host's path for a path in the container: through the longest mount that holds it."""
    for inside, outside in sorted(image.get("mounts", {}).items(), key=lambda item: -len(item[0])):
        if path == inside or path.startswith(inside + "/"):
            return str(DAGS / outside) + path[len(inside) :]
    return path


def run(image: str, *arguments: str, command: list[str] | None = None, **options) -> subprocess.CompletedProcess:
    """Run a container's command outside of any sandbox, with the image's PATH, environment and working folder."""
    found = entry(image) or {}
    command = [host_path(found, word) for word in command or found["entrypoint"]]
    path = [host_path(found, folder.replace("{venv}", VENV)) for folder in found.get("path", [])]
    environment = {
        "PATH": ":".join([*path, "/usr/local/bin:/usr/bin:/bin"]),
        "HOME": os.environ.get("HOME", "/"),
        **found.get("env", {}),
        **options.pop("env", {}),
    }
    workdir = host_path(found, found.get("workdir", "/"))
    # the program is looked for on the image's PATH, not on ours
    return subprocess.run(
        ["/usr/bin/env", *command, *arguments], env=environment, cwd=workdir, capture_output=True, text=True, **options
    )
