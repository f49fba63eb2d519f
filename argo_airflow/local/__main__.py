"""``python -m argo_airflow.local``: serve until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from argo_airflow.errors import LocalRuntimeError
from argo_airflow.local.runtime import Pods, token_of, write_kubeconfig
from argo_airflow.local.sandbox import ENGINES
from argo_airflow.local.server import application


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m argo_airflow.local", description="The embedded pod runtime.")
    parser.add_argument("--home", type=Path, required=True, help="folder for pods and the kubeconfig")
    parser.add_argument("--port", type=int, default=0, help="on loopback; 0: any free one")
    parser.add_argument("--images", type=Path, help="image index, YAML")
    parser.add_argument("--resources", type=Path, nargs="*", default=[], help="folders with Secrets and ConfigMaps")
    parser.add_argument("--token-file", type=Path, help="the bearer token; default HOME/token, made if it is missing")
    parser.add_argument("--engine", default="", choices=["", *(engine().name for engine in ENGINES)])
    return parser.parse_args(words)


async def _serve(options: argparse.Namespace) -> None:
    os.umask(0o022)
    pods = Pods(options.home, options.images, options.resources, options.engine)
    token = token_of(options.token_file or pods.home / "token")
    # A log or a watch that is followed ends with its pod; nobody else is waited for.
    runner = web.AppRunner(application(pods, token), access_log=None, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", options.port)
        try:
            await site.start()
        except OSError as error:
            raise LocalRuntimeError(f"cannot listen on 127.0.0.1:{options.port}: {error.strerror}") from None
        port = runner.addresses[0][1]
        write_kubeconfig(pods.home / "kubeconfig", port, token)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        print(f"pod runtime ready: http://127.0.0.1:{port} engine={pods.engine.name} home={pods.home}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def main(words: list[str] | None = None) -> int:
    """Run the server; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(_arguments(words)))
    except LocalRuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
