"""Frames down to their TCP segment: every link, tag, tunnel and extension header; any bytes at all."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.wire.decode import LinkType, decode
from exporter.wire.segments import Datagram, Decoded, IcmpError, NotRead, Segment
from tests.wire.frames import (
    ACK,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    PSH,
    TCP,
    UDP,
    ethernet,
    icmp_error,
    ip,
    tcp,
    udp,
)

V4, V6 = ("10.1.2.3", "192.0.2.9"), ("2001:db8::3", "2001:db8:ffff::9")
SEGMENT = tcp(40_000, 993, 7_000, 9_000, PSH | ACK, b"payload", options=b"\1" * 12)


def packet(version: int = 4, segment: bytes = SEGMENT) -> bytes:
    return ip(*(V4 if version == 4 else V6), TCP, segment)


def read(frame: bytes, link_type: int = LinkType.ETHERNET, original: int | None = None) -> Decoded:
    """In the middle of other bytes, which must not be looked at."""
    buffer = b"\x45" * 64 + frame + b"\x16\x03" * 64
    return decode(link_type, buffer, 64, 64 + len(frame), original if original is not None else len(frame))


def check(decoded: Decoded, *, version: int = 4, vlan: tuple[int, ...] = ()) -> None:
    assert isinstance(decoded, Segment), decoded
    assert (decoded.source_port, decoded.destination_port) == (40_000, 993)
    assert (decoded.sequence, decoded.acknowledgment, decoded.flags) == (7_000, 9_000, PSH | ACK)
    assert decoded.end - decoded.start == decoded.length == 7
    assert len(decoded.source) == len(decoded.destination) == (4 if version == 4 else 16)
    assert (decoded.ttl, decoded.vlan) == (64, vlan)


# ---- links -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        (LinkType.RAW, b""), (LinkType.RAW_BSD, b""), (LinkType.RAW_OPENBSD, b""),
        (LinkType.NULL, b"\2\0\0\0"), (LinkType.NULL, b"\0\0\0\x1e"), (LinkType.LOOP, b"\0\0\0\2"),
    ],
)  # fmt: skip
def test_links_whose_version_is_the_packets_own(link_type: int, head: bytes, version: int):
    check(read(head + packet(version), link_type), version=version)


@pytest.mark.parametrize("version", [4, 6])
def test_links_with_an_ethernet_type(version: int):
    kind = struct.pack(">H", IPV4 if version == 4 else IPV6)
    check(read(bytes(14) + kind + packet(version), LinkType.LINUX_SLL), version=version)
    check(read(kind + bytes(18) + packet(version), LinkType.LINUX_SLL2), version=version)
    check(read(b"\x0f\0" + kind + packet(version), LinkType.C_HDLC), version=version)
    check(read(ethernet(packet(version))), version=version)


def test_ppp_with_and_without_what_may_be_left_out():
    for head in (b"\xff\x03\x00\x21", b"\x00\x21", b"\x21", b"\xff\x03\x21"):
        check(read(head + packet(), LinkType.PPP))
    check(read(b"\x00\x57" + packet(6), LinkType.PPP), version=6)
    assert read(b"\xc0\x21\1\1\0\4", LinkType.PPP) is NotRead.OTHER  # LCP


@pytest.mark.parametrize("vlan", [(7,), (7, 8), (100, 200, 300), (4_094,)])
@pytest.mark.parametrize("tag", [0x8100, 0x88A8, 0x9100])
def test_vlan_tags_the_outer_first(vlan: tuple[int, ...], tag: int):
    check(read(ethernet(packet(), vlan=vlan, tag=tag)), vlan=vlan)


def test_vlan_behind_a_cooked_header_and_a_priority_tag_that_is_no_vlan():
    check(read(bytes(14) + struct.pack(">HHH", 0x8100, 7, IPV4) + packet(), LinkType.LINUX_SLL), vlan=(7,))
    check(read(ethernet(packet(), vlan=[5 << 13])), vlan=())
    check(read(ethernet(packet(), vlan=[5 << 13 | 9])), vlan=(9,))


def test_llc_with_snap_and_without():
    snap = b"\xaa\xaa\x03\0\0\0" + struct.pack(">H", IPV4) + packet()
    check(read(ethernet(snap, kind=len(snap))))
    assert read(ethernet(b"\x42\x42\x03" + bytes(60), kind=63)) is NotRead.OTHER  # spanning tree


def test_ciscos_inter_switch_link():
    header = b"\x01\x00\x0c\x00\x00\x03" + bytes(6) + struct.pack(">H", 100) + b"\xaa\xaa\x03" + bytes(3)
    check(read(header + struct.pack(">HHH", 17 << 1 | 1, 0, 0) + ethernet(packet())), vlan=(17,))


SNAP = b"\xaa\xaa\x03\0\0\0" + struct.pack(">H", IPV4)


@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        (LinkType.TOKEN_RING, b"\x10\x40" + bytes(12) + SNAP),
        (LinkType.TOKEN_RING, b"\x10\x40" + bytes(6) + b"\x80" + bytes(5) + b"\x06\x30\0\0\0\0" + SNAP),  # source routed
        (LinkType.FDDI, b"\x50" + bytes(12) + SNAP), (LinkType.ATM_RFC1483, SNAP),
        (LinkType.FRAME_RELAY, b"\x18\x41\x03\xcc"), (LinkType.FRAME_RELAY, b"\x18\x41\x08\x00"),
        (LinkType.FRAME_RELAY, b"\x18\x41\x03\0\x80\0\0\0\x08\x00"),
        (LinkType.PFLOG, bytes([61]) + bytes(63)), (LinkType.ENC, bytes(12)), (LinkType.SLIP, bytes(16)),
        (LinkType.NFLOG, b"\x02\0\0\0" + b"\x08\0\x01\0abcd" + b"\x05\0\x0a\0\0\0\0\0" + b"\x3f\0\x09\0"),
        (LinkType.PPP_PPPD, b"\x01\x03\0\x21"), (LinkType.PPP_WITH_DIRECTION, b"\x01\xff\x03\0\x21"),
        (LinkType.PPP_ETHER, b"\x11\0\0\5\0\x40\0\x21"),
        (LinkType.PKTAP, struct.pack("<III", 20, 0, LinkType.RAW) + bytes(8)),
        (LinkType.NETANALYZER, bytes(4) + bytes(12) + b"\x08\0"),
        (LinkType.ETHERNET_MPACKET, bytes(8) + bytes(12) + b"\x08\0"),
    ],
)  # fmt: skip
def test_rarer_links(link_type: int, head: bytes):
    check(read(head + packet(), link_type))


def test_a_capture_that_wraps_itself_ends():
    frame = struct.pack("<III", 12, 0, LinkType.PKTAP) * 9
    assert read(frame, LinkType.PKTAP) is NotRead.UNKNOWN


def test_links_that_are_for_the_slow_path():
    for link_type in (105, 127, 119, 163, 192, 189, 220, 999_999):
        assert read(packet(), link_type) is NotRead.UNKNOWN


def test_what_is_nothing_of_ours():
    assert read(ethernet(bytes(28), kind=0x0806)) is NotRead.OTHER  # ARP
    assert read(ethernet(ip(*V4, 50, bytes(40)))) is NotRead.OTHER  # ESP
    assert read(ethernet(ip(*V4, ICMP, icmp_error(8, 0, bytes(20))))) is NotRead.OTHER  # ping


# ---- IP ----------------------------------------------------------------------------------------------------------------


def test_options_and_padding_behind_the_packet():
    whole = packet()
    with_options = b"\x47" + whole[1:2] + struct.pack(">H", len(whole) + 8) + whole[4:20] + b"\1" * 8 + whole[20:]
    check(read(ethernet(with_options) + bytes(10)))
    check(read(ethernet(packet()) + bytes(30)))


def test_a_length_of_zero_is_that_of_the_frame():
    """The card splits such packets later: what was captured is the super-segment."""
    check(read(ethernet(ip(*V4, TCP, SEGMENT, total=0))))
    check(read(ethernet(ip(*V6, TCP, SEGMENT, total=0))), version=6)


def test_a_snap_length_cuts_the_payload_but_not_its_length():
    frame = ethernet(packet(segment=tcp(40_000, 993, 7_000, 9_000, ACK, bytes(1_000))))
    decoded = read(frame[:68], original=len(frame))
    assert isinstance(decoded, Segment)
    assert (decoded.end - decoded.start, decoded.length) == (14, 1_000)
    in_options = read(ethernet(packet())[:60], original=len(ethernet(packet())))
    assert isinstance(in_options, Segment)
    assert (in_options.end - in_options.start, in_options.length) == (0, 7)


@pytest.mark.parametrize("fragment", [0x2000, 0x0001, 0x20B9, 0x1FFF])
def test_fragments_of_ipv4(fragment: int):
    assert read(ethernet(ip(*V4, TCP, SEGMENT, fragment=fragment))) is NotRead.FRAGMENT


def test_dont_fragment_is_no_fragment():
    check(read(ethernet(ip(*V4, TCP, SEGMENT, fragment=0x4000))))


def extension(kind: int, following: int, content: bytes = b"") -> bytes:
    content += bytes(-(len(content) + 2) % 8)
    return bytes([following, (len(content) + 2) // 8 - 1]) + content


def test_extension_headers_of_ipv6():
    chain = extension(0, 60, b"hop by hop") + extension(60, 135) + extension(135, TCP, bytes(20))
    check(read(ethernet(ip(*V6, 0, chain + SEGMENT))), version=6)
    atomic = struct.pack(">BBHI", TCP, 0, 0, 9)
    check(read(ethernet(ip(*V6, 44, atomic + SEGMENT))), version=6)
    for word in (1, 8, 0xFFF8, 0xFFF9):
        assert read(ethernet(ip(*V6, 44, struct.pack(">BBHI", TCP, 0, word, 9) + SEGMENT))) is NotRead.FRAGMENT


def test_authentication_headers_are_in_clear():
    header = bytes([TCP, 4, 0, 0]) + bytes(20)
    check(read(ethernet(ip(*V4, 51, header + SEGMENT))))
    check(read(ethernet(ip(*V6, 51, header + SEGMENT))), version=6)


@pytest.mark.parametrize(("kind", "place"), [(0, 1), (2, 1), (4, 0)])
def test_behind_a_routing_header_the_last_hop_is_the_destination(kind: int, place: int):
    hops = [bytes(15) + b"\1", bytes(15) + b"\2"]
    header = extension(43, TCP, bytes([kind, 1]) + bytes(4) + b"".join(hops))
    decoded = read(ethernet(ip(*V6, 43, header + SEGMENT)))
    assert isinstance(decoded, Segment)
    assert decoded.destination == hops[place]
    done = read(ethernet(ip(*V6, 43, header[:3] + b"\0" + header[4:] + SEGMENT)))
    check(done, version=6)
    assert isinstance(done, Segment)
    assert done.destination != hops[place]


def test_endless_extension_headers_end():
    assert read(ethernet(ip(*V6, 0, extension(0, 0) * 100 + SEGMENT))) is NotRead.OTHER


# ---- tunnels -----------------------------------------------------------------------------------------------------------


def tunnels() -> dict[str, bytes]:
    inner, frame = packet(), ethernet(packet())
    gre, grev6 = b"\0\0\x08\0", b"\0\0\x86\xdd"
    return {
        "ipip": ip(*V4, 4, inner), "4in6": ip(*V6, 4, inner),
        "gre": ip(*V4, 47, gre + inner),
        "gre with key, checksum, number": ip(*V4, 47, b"\xb0\0\x08\0" + bytes(12) + inner),
        "gre over ipv6": ip(*V6, 47, gre + inner),
        "gre with ethernet": ip(*V4, 47, b"\0\0\x65\x58" + frame),
        "pptp": ip(*V4, 47, b"\x30\x81\x88\x0b" + bytes(12) + b"\xff\x03\0\x21" + inner),
        "erspan": ip(*V4, 47, b"\x10\0\x88\xbe" + bytes(12) + frame),
        "erspan III": ip(*V4, 47, b"\x10\0\x22\xeb" + bytes(4) + b"\x20" + bytes(11) + frame),
        "erspan III with more": ip(*V4, 47, b"\x10\0\x22\xeb" + bytes(4) + b"\x20" + bytes(10) + b"\1" + bytes(8) + frame),
        "vxlan of any protocol": ip(*V4, UDP, udp(5_555, 4_790, b"\x0c\0\0\1" + bytes(4) + inner)),
        "l2tp": ip(*V4, UDP, udp(1_701, 1_701, b"\0\2" + bytes(4) + b"\xff\3\0\x21" + inner)),
        "l2tp with all fields": ip(*V4, UDP, udp(1_701, 1_701, b"\x4a\2" + bytes(10) + b"\0\3abc" + b"\0\x21" + inner)),
        "vxlan": ip(*V4, UDP, udp(5_555, 4_789, b"\x08" + bytes(7) + frame)),
        "vxlan of old": ip(*V4, UDP, udp(5_555, 8_472, b"\x08" + bytes(7) + frame)),
        "geneve": ip(*V4, UDP, udp(5_555, 6_081, b"\x02\0\x65\x58" + bytes(4) + bytes(8) + frame)),
        "gtp": ip(*V4, UDP, udp(2_152, 2_152, b"\x30\xff" + bytes(6) + inner)),
        "gtp with extension": ip(*V4, UDP, udp(9, 2_152, b"\x34\xff" + bytes(6) + b"\0\0\0\x85\1\0\0\0" + inner)),
        "mpls in ip": ip(*V4, 137, b"\0\0\1\x40" + inner),
        "a tunnel in a tunnel": ip(*V4, 47, gre + ip(*V4, UDP, udp(1, 4_789, b"\x08" + bytes(7) + frame))),
        "six layers": ip(*V4, 4, ip(*V4, 47, grev6 + ip(*V6, 41, ip(*V6, 4, ip(*V4, 4, inner))))),
    }  # fmt: skip


@pytest.mark.parametrize("name", tunnels())
def test_tunnels(name: str):
    check(read(ethernet(tunnels()[name])))


def test_6in4_and_teredo():
    check(read(ethernet(ip(*V4, 41, packet(6)))), version=6)
    check(read(ethernet(ip(*V4, UDP, udp(9, 3_544, packet(6))))), version=6)


def test_pppoe_mpls_and_pseudowires():
    check(read(ethernet(b"\x11\0\0\5" + struct.pack(">HH", len(packet()) + 2, 0x21) + packet(), kind=0x8864)))
    check(read(ethernet(b"\0\x01\0\x40" + b"\0\x02\x01\x40" + packet(), kind=0x8847)))
    check(read(ethernet(b"\0\x02\x01\x40" + bytes(4) + ethernet(packet()), kind=0x8847)))


def test_a_vlan_inside_a_tunnel_comes_behind_that_outside():
    inside = ip(*V4, UDP, udp(1, 4_789, b"\x08" + bytes(7) + ethernet(packet(), vlan=(20,))))
    check(read(ethernet(inside, vlan=(10,))), vlan=(10, 20))


def test_a_tunnel_without_end_ends():
    inner = packet()
    for _ in range(40):
        inner = ip(*V4, 4, inner)
    assert read(ethernet(inner)) is NotRead.UNKNOWN


# ---- UDP and ICMP ------------------------------------------------------------------------------------------------------


def test_a_datagram():
    decoded = read(ethernet(ip(*V4, UDP, udp(53, 5_353, b"answer"))))
    assert isinstance(decoded, Datagram)
    assert (decoded.source_port, decoded.destination_port, decoded.end - decoded.start) == (53, 5_353, 6)


@pytest.mark.parametrize(("version", "kind"), [(4, 3), (4, 11), (6, 1), (6, 3)])
def test_an_error_quotes_the_segment_that_met_it(version: int, kind: int):
    addresses = V4 if version == 4 else V6
    quoted = packet(version)[: 28 if version == 4 else 48]
    back = addresses[1], addresses[0]
    decoded = read(ethernet(ip(*back, ICMP if version == 4 else ICMPV6, icmp_error(kind, 1, quoted))))
    assert isinstance(decoded, IcmpError)
    assert (decoded.source_port, decoded.destination_port, decoded.sequence) == (40_000, 993, 7_000)
    assert (decoded.type, decoded.code) == (kind, 1)
    assert decoded.destination == decoded.reporter


def test_an_error_about_something_else_is_none():
    assert read(ethernet(ip(*V4, ICMP, icmp_error(3, 3, ip(*V4, UDP, udp(1, 2, b"")))))) is NotRead.OTHER
    assert read(ethernet(ip(*V4, ICMP, icmp_error(3, 3, packet()[:24])))) is NotRead.OTHER


# ---- any bytes ---------------------------------------------------------------------------------------------------------


def every_frame() -> list[bytes]:
    frames = [ethernet(tunnel) for tunnel in tunnels().values()]
    frames += [ethernet(packet(6), vlan=(1, 2)), ethernet(ip(*V6, 0, extension(0, 43) + extension(43, TCP) + SEGMENT))]
    frames.append(ethernet(ip(*V4, ICMP, icmp_error(3, 1, packet()))))
    return frames


@pytest.mark.parametrize("frame", every_frame())
def test_cut_anywhere(frame: bytes):
    for cut in range(len(frame)):
        decoded = decode(LinkType.ETHERNET, frame[:cut], 0, cut, len(frame))
        if isinstance(decoded, Segment):
            assert 0 <= decoded.start <= decoded.end <= cut
            assert decoded.length in (7, len(SEGMENT) - 20)


@settings(max_examples=500, deadline=None)
@given(
    frame=st.sampled_from(every_frame()),
    places=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 300),
    link_type=st.sampled_from([*LinkType, 105]),
)
def test_changed_and_cut_it_never_raises(frame: bytes, places: list[tuple[int, int]], cut: int, link_type: int):
    data = bytearray(frame)
    for place, value in places:
        data[place % len(data)] = value
    exact = bytes(data[:cut])  # nothing behind: a look beyond the end would raise
    decoded = decode(link_type, exact, 0, len(exact), len(frame))
    if isinstance(decoded, Segment | Datagram):
        assert 0 <= decoded.start <= decoded.end <= len(exact)


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=120), link_type=st.sampled_from([*LinkType, 105]), original=st.integers(0, 70_000))
def test_any_bytes(data: bytes, link_type: int, original: int):
    decode(link_type, data, 0, len(data), original)
