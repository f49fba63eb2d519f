"""``exec`` into a running container over a WebSocket, Kubernetes' channel protocols v4 and v5."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path

from aiohttp import WSMsgType, web

from argo_airflow.local.objects import ApiError, Object
from argo_airflow.local.sandbox import MARK, engine_environment

_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_GET_USERNS = 0xB701
"""ioctl_ns(2): the user namespace that owns a namespace."""


async def serve(request: web.Request, pid: int, command: list[str]) -> web.WebSocketResponse:
    """Run ``command`` in the container whose PID 1 is ``pid`` and carry its streams.

    Raises:
        ApiError: 400, the container has just ended.
    """
    socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"), max_msg_size=1 << 26)
    wanted = request.query.get("stdin", "").lower() in ("true", "1")
    process = await _enter(pid, command, wanted)
    try:
        await socket.prepare(request)
        reading = asyncio.create_task(_input(socket, process))
        assert process.stdout is not None
        assert process.stderr is not None
        await asyncio.gather(_output(socket, process.stdout, _STDOUT), _output(socket, process.stderr, _STDERR))
        code = await process.wait()
        reading.cancel()
        await socket.send_bytes(bytes([_ERROR]) + json.dumps(_status(code)).encode())
        await socket.close()
    except ConnectionError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return socket


async def _enter(pid: int, command: list[str], stdin: bool) -> asyncio.subprocess.Process:
    await _set_up(pid)
    try:
        mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise ApiError(400, "BadRequest", "container not running") from None
    # Who owns the mount namespace, not the container's own user namespace, may enter it.
    owner = fcntl.ioctl(mounts, _GET_USERNS)
    try:
        user = [] if _same(owner) else [f"--user=/proc/self/fd/{owner}", "--preserve-credentials"]
        env = _environment(pid)
        line = [
            shutil.which("nsenter") or "nsenter",
            "-t",
            str(pid),
            *user,
            "-m",
            "-p",
            "-i",
            "-u",
            "-r",
            "-w",
            "--",
            *command,
        ]
        return await asyncio.create_subprocess_exec(
            *line, pass_fds=[owner], env=env, start_new_session=True,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    finally:
        os.close(mounts)
        os.close(owner)


async def _set_up(pid: int) -> None:
    """Wait until the engine has made the container and its own command runs as PID 1, two seconds at most."""
    for _ in range(200):
        with contextlib.suppress(OSError):
            place = Path(f"/proc/{pid}")
            marked = f"{MARK}=".encode() in (place / "environ").read_bytes()
            if not marked and (place / "comm").read_text().strip() not in ("env", "setpriv", "unshare"):
                return
        await asyncio.sleep(0.01)


def _same(owner: int) -> bool:
    return os.fstat(owner).st_ino == os.stat("/proc/self/ns/user").st_ino


def _environment(pid: int) -> dict[str, str]:
    """The variables of the container's PID 1."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = [os.fsdecode(item).partition("=") for item in file.read().split(b"\0") if item]
    except OSError:
        return engine_environment(Path("/"))
    return {key: value for key, _, value in pairs}


async def _output(socket: web.WebSocketResponse, stream: asyncio.StreamReader, channel: int) -> None:
    while chunk := await stream.read(1 << 15):
        await socket.send_bytes(bytes([channel]) + chunk)


async def _input(socket: web.WebSocketResponse, process: asyncio.subprocess.Process) -> None:
    """Hand stdin on; v5 closes it by message, v4 only with the connection, which ends the command too."""
    async for message in socket:
        data = message.data if message.type == WSMsgType.BINARY else str(message.data).encode()
        if process.stdin is None or process.stdin.is_closing():
            continue
        if data[:1] == bytes([_STDIN]):
            process.stdin.write(data[1:])
            await process.stdin.drain()
        elif data[:2] == bytes([_CLOSE, _STDIN]):
            process.stdin.close()
    if process.returncode is None:
        process.kill()


def _status(code: int) -> Object:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    code = 128 - code if code < 0 else code
    return {
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }  # fmt: skip
