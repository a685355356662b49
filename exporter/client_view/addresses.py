"""Addresses for the view: free ones of the inside network, or those the administrator gives."""

import ipaddress
import random
import select
import socket
import struct
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from exporter.client_view.command import ClientViewError
from exporter.client_view.inside import Inside, Interface

#: IPv4 addresses asked for before giving up, and how many of them at once.
MAX_ASKED, AT_ONCE = 64, 8
#: How long an owner has to answer, seconds (RFC 5227 waits 1 to 2 s).
ANSWER_SECONDS = 1.0

_BROADCAST = b"\xff" * 6
_ETH_P_ARP = 0x0806
#: Ethernet for IPv4 (RFC 826): hardware type, protocol, lengths, operation, sender and target.
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_REQUEST = 1


def choose(inside: Inside, wanted: Sequence[str], taken: Collection[str] = ()) -> tuple[Interface, ...]:
    """An address for each family that the gateway has on the inside, in the order of its own.

    `taken`: those of our other views, which needn't answer on the wire.
    Raises ClientViewError: a wanted address isn't of the inside network or is taken, or none is free.
    """
    given = [_parsed(text) for text in wanted]
    chosen = []
    for gateway in inside.gateways:
        mine = next((address for address in given if address in gateway.network), None)
        chosen.append(ipaddress.ip_interface(f"{mine or _free(inside, gateway, taken)}/{gateway.network.prefixlen}"))
        given = [address for address in given if address != mine]
        if mine is not None and (str(mine) in taken or not is_free(inside, gateway, mine)):
            raise ClientViewError(f"{mine}: another machine has this address")
    if given:
        networks = ", ".join(str(gateway.network) for gateway in inside.gateways)
        raise ClientViewError(f"{given[0]}: isn't of the inside network ({networks}), or one too many of its family")
    return tuple(chosen)


def is_free(inside: Inside, gateway: Interface, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether nobody answers for an address of the gateway's network. IPv6 isn't asked."""
    if address == gateway.ip:
        return False
    return not (isinstance(address, ipaddress.IPv4Address) and _owned(inside, [address]))


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ClientViewError(f"{text!r}: no IP address") from None


def _free(inside: Inside, gateway: Interface, taken: Collection[str]) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(gateway, ipaddress.IPv6Interface):
        return _random_of(gateway)
    candidates = islice((each for each in _from_the_end(gateway) if str(each) not in taken), MAX_ASKED)
    while batch := list(islice(candidates, AT_ONCE)):
        owned = _owned(inside, batch)
        if free := [address for address in batch if address not in owned]:
            return free[0]
    raise ClientViewError(f"{gateway.network}: no free address found; give one with --address")


def _from_the_end(gateway: ipaddress.IPv4Interface) -> Iterator[ipaddress.IPv4Address]:
    """DHCP pools and servers mostly begin at the other end."""
    network = gateway.network
    first, last = int(network.network_address) + 1, int(network.broadcast_address) - 1
    return (ipaddress.IPv4Address(number) for number in range(last, first - 1, -1) if number != int(gateway.ip))


def _random_of(gateway: ipaddress.IPv6Interface) -> ipaddress.IPv6Address:
    """Random interface identifiers as of RFC 8981: in a /64 nobody else has it."""
    size = gateway.network.num_addresses
    for _ in range(MAX_ASKED):
        address = gateway.network.network_address + random.SystemRandom().randrange(size)
        if address not in (gateway.ip, gateway.network.network_address):
            return address
    raise ClientViewError(f"{gateway.network}: no free address; the prefix is too narrow")


def _owned(inside: Inside, addresses: Iterable[ipaddress.IPv4Address]) -> set[ipaddress.IPv4Address]:
    """Those for which someone answers an ARP probe (RFC 5227: sent from 0.0.0.0, so no cache is touched)."""
    wanted = set(addresses)
    if not inside.ethernet:
        return set()
    try:
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ARP))
    except PermissionError:
        needs = "asking who has an address needs CAP_NET_RAW; start as root, or give one with --address"
        raise ClientViewError(f"{inside.device}: {needs}") from None
    with packets:
        packets.bind((inside.device, _ETH_P_ARP))
        mac = bytes.fromhex(inside.mac.replace(":", ""))
        for address in wanted:
            body = _ARP.pack(1, 0x0800, 6, 4, _REQUEST, mac, b"\0" * 4, b"\0" * 6, address.packed)
            packets.send(_BROADCAST + mac + struct.pack("!H", _ETH_P_ARP) + body)
        return wanted & set(_senders(packets, mac, time.monotonic() + ANSWER_SECONDS))


def _senders(packets: socket.socket, own: bytes, until: float) -> Iterator[ipaddress.IPv4Address]:
    """The protocol addresses of others that say anything by ARP, until then."""
    while (left := until - time.monotonic()) > 0 and select.select([packets], [], [], left)[0]:
        frame = packets.recv(2048)
        if len(frame) >= 14 + _ARP.size:
            _, _, _, _, _, hardware, sender, _, _ = _ARP.unpack_from(frame, 14)
            if hardware != own:
                yield ipaddress.IPv4Address(sender)
