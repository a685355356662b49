"""Where does a page that isn't Microsoft's lead? Looked at before its addresses are cleaned away."""

import ipaddress
import re
from collections.abc import Sequence

from exporter.probe.resolve import IpNetwork, suspicion

_URL = re.compile(r"https?://(?:\[([0-9A-Fa-f:.]+)\]|([^/\s:\"'<>?#]+))")


def at_private_address(text: str, address: str | None, expected: Sequence[IpNetwork]) -> bool:
    """Whether a page leads to, or came from, an address of no public service; `expected`: the administrator's own."""
    named = [six or other for six, other in _URL.findall(text)]
    return any(_is_private(each, expected) for each in (*named, address or ""))


def _is_private(text: str, expected: Sequence[IpNetwork]) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return suspicion(text, expected) in ("private", "carrier-grade NAT", "link-local")
