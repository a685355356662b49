"""`run`: the service and its web server, from a configuration until a signal."""

import asyncio
import gc
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from exporter.capabilities import drop_capabilities, forbid_core_dumps
from exporter.inspector import run_inspector
from exporter.logs import configure_logs
from exporter.service import Service
from exporter.settings import parse_listen
from exporter.settings_errors import ConfigurationError
from exporter.web.app import create_app
from exporter.web.server import WebServer
from exporter.web.web_config import WebConfig

#: Objects that may wait for the garbage collector: the interpreter's 700 have it run through every handshake.
GARBAGE = 20_000


def run_service(config: Path | None, env: Mapping[str, str], *, listen: str | None, only: str | None) -> int:
    """The `run` command. Raises ConfigurationError."""
    if only == "inspector":
        return run_inspector(config, env)
    configure_logs()
    forbid_core_dumps()  # before the first secret is read
    service = Service(config, env, listen=_checked(listen))
    drop_capabilities()  # root's, or those that the unit gave for the inspector
    for warning in service.plan.settings.warnings():
        structlog.get_logger().warning(warning)
    service.inspector.warn()
    return serve(service)


def _checked(listen: str | None) -> str | None:
    """The option's value. Raises ConfigurationError where it is no address."""
    try:
        if listen is not None:
            parse_listen(listen)
    except ValueError as error:
        raise ConfigurationError([f"--listen: {error}"]) from error
    return listen


def serve(service: Service, *, rounds: int | None = None, announce: Callable[[str], None] | None = None) -> int:
    """Web server and rounds until a signal, or for so many rounds; 0. Raises ConfigurationError."""
    path = service.plan.settings.web_config
    web_config = WebConfig(path) if path is not None else None
    web = WebServer(create_app(service.state, service, web_config=web_config), service.listen, web_config)
    try:
        asyncio.run(_until_signal(service, web, announce or _log_address, rounds))
    finally:
        web.stop()
        service.close()
    return 0


def _log_address(url: str) -> None:
    structlog.get_logger().info("listening", url=url)


def _spare_the_collector() -> None:
    """What was imported never becomes garbage: it isn't looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


async def _until_signal(service: Service, web: WebServer, announce: Callable[[str], None], rounds: int | None) -> None:
    loop = asyncio.get_running_loop()
    service.attach(loop)
    _spare_the_collector()
    try:
        announce(web.start())
    except OSError as error:
        raise ConfigurationError([f"listen: {service.listen}: {error.strerror or error}"]) from error
    task = asyncio.create_task(service.run(rounds=rounds))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    reloads: set[asyncio.Task[list[str]]] = set()

    def reload() -> None:
        reloading = asyncio.create_task(service.take_over_configuration())
        reloads.add(reloading)
        reloading.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    with suppress(asyncio.CancelledError):
        await task
