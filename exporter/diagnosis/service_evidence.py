"""What a running service saw on the wire: its `/api/v1/connections`, where one answers."""

import asyncio
import json
import sys
import urllib.request
from typing import Any

import click
from pydantic import ValidationError

from exporter.observations import Connection, from_json
from exporter.settings import Settings

#: How long it may take, seconds, and how much is read, bytes.
PATIENCE, MAX_ANSWER = 3.0, 33_554_432


async def connections_of_service(url: str | None, settings: Settings) -> list[Connection]:
    """The connections that the service at `url`, or the configured one, has seen. One asked for by name that doesn't
    answer is said on stderr; another is nobody's loss."""
    address = url or _own_address(settings)
    if address is None:
        return []
    try:
        return await asyncio.to_thread(_fetch, address)
    except (OSError, ValueError, ValidationError) as error:
        if url is not None:
            click.echo(f"--service: {url}: no wire evidence from there: {error}", err=True)
            sys.stderr.flush()
        return []


def _own_address(settings: Settings) -> str | None:
    """Only a service on loopback without a password: others need --service."""
    host, port = settings.listen_address()
    if not settings.on_loopback() or settings.web_config is not None or port == 0:
        return None
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _fetch(url: str) -> list[Connection]:
    if not url.startswith(("http://", "https://")):
        raise ValueError("not an http address")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url.rstrip('/')}/api/v1/connections", timeout=PATIENCE) as answer:
        content: Any = json.loads(answer.read(MAX_ANSWER))
    if not isinstance(content, list):
        raise ValueError("not a list of connections")
    return [from_json(Connection, json.dumps(each)) for each in content]
