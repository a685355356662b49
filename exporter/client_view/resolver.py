"""Whom the view asks for names: as its clients, the gateway where it answers, else the gateway's own resolvers."""

import ipaddress
import socket
from collections.abc import Sequence
from pathlib import Path

from exporter.client_view.command import ClientViewError
from exporter.client_view.inside import Interface
from exporter.probe.vantage import MAX_RESOLVERS, resolvers_of

#: How long a refusal of port 53 may take, seconds; it comes by loopback.
REFUSAL_SECONDS = 0.3
#: `. IN NS`, recursion desired (RFC 1035): a question every resolver knows.
_QUESTION = b"\x0a\xe0\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
#: Where systemd-resolved keeps the resolvers that its stub on 127.0.0.53 asks.
_RESOLVED = Path("/run/systemd/resolve")


def choose(gateways: Sequence[Interface], wanted: Sequence[str], etc: Path = Path("/etc")) -> tuple[str, ...]:
    """Addresses for resolv.conf; empty where none is known that the namespace could reach."""
    if wanted:
        return tuple(_parsed(text) for text in wanted[:MAX_RESOLVERS])
    if own := [str(gateway.ip) for gateway in gateways if answers(str(gateway.ip))]:
        return tuple(own[:MAX_RESOLVERS])
    for directory in (etc, _RESOLVED):
        upstream = [address for address, _ in resolvers_of(None, directory)]
        if reachable := [each for each in upstream if not ipaddress.ip_address(each).is_loopback]:
            return tuple(reachable)
    return ()


def answers(address: str, port: int = 53) -> bool:
    """Whether something listens for DNS at an address of this machine: it answers, or at least isn't refused."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(REFUSAL_SECONDS)
        try:
            sock.connect((address, port))
            sock.send(_QUESTION)
            sock.recv(512)
        except TimeoutError:  # it asks others, and they are slow
            return True
        except OSError:
            return False
        return True


def _parsed(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ClientViewError(f"resolver {text!r}: no IP address") from None
