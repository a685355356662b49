"""Which packets pass the inspector's filter: each rule, each trap, and the same answers as the kernel's own machine."""

import functools
import os
import random
import socket
from contextlib import contextmanager
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalogue import TARGETS
from exporter.wire.bpf import Instruction, attach
from exporter.wire.kernel_filter import (
    HANDSHAKE_SNAP,
    MAX_KNOWN,
    RECORD_SNAP,
    SHORT,
    SNAP,
    FilterSpec,
    Link,
    packet_filter,
    ports_of,
)
from tests.wire.bpf_machine import run
from tests.wire.packets_by_hand import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    ethernet,
    icmp,
    ip,
    pppoe,
    record,
    segment,
    tcp,
    udp,
    vlan,
)

MAIL, WEB, TEXT = 993, 443, 587
HELLO, DATA = record(22, bytes(500)), record(23, bytes(500))
BULK = bytes(range(128, 256)) * 12  # 1,536 bytes that are neither text nor a record
PROGRAM = packet_filter(FilterSpec(plain=frozenset({80})))


def passes(packet: bytes, program: tuple[Instruction, ...] = PROGRAM) -> bool:
    return run(program, ethernet(packet)) > 0


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("port", [25, 80, 110, 143, 443, 465, 587, 993, 995])
class TestBeginAndEnd:
    @pytest.mark.parametrize("flags", [SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, FIN | PSH | ACK])
    def test_of_connections_pass_in_both_directions(self, version, port, flags):
        assert passes(segment(flags, server_port=port, version=version))
        assert passes(segment(flags, server_port=port, version=version, to_server=False))

    def test_acknowledgments_do_not(self, version, port):
        for to_server in (True, False):
            assert not passes(segment(ACK, server_port=port, version=version, to_server=to_server))
            options = b"\x01\x01\x08\x0a" + bytes(8)
            assert not passes(segment(ACK, server_port=port, version=version, to_server=to_server, options=options))


@pytest.mark.parametrize("version", [4, 6])
class TestPayload:
    @pytest.mark.parametrize("kind", [20, 21, 22])
    @pytest.mark.parametrize("port", [TEXT, WEB, MAIL])
    def test_handshakes_and_alerts_pass(self, version, kind, port):
        for to_server in (True, False):
            packet = segment(ACK, record(kind, BULK), server_port=port, version=version, to_server=to_server)
            assert run(PROGRAM, ethernet(packet)) == HANDSHAKE_SNAP

    def test_one_byte_of_a_record_is_no_record(self, version):
        """Else 3 of 256 segments of bulk would pass."""
        for first in (20, 21, 22, 23):
            assert not passes(segment(ACK, bytes([first, 0x99]) + BULK, version=version, to_server=False))

    def test_records_of_data_pass_at_mails_ports_only(self, version):
        for to_server in (True, False):
            assert passes(segment(ACK, DATA, server_port=MAIL, version=version, to_server=to_server))
            assert not passes(segment(ACK | PSH, DATA, server_port=WEB, version=version, to_server=to_server))

    def test_of_a_record_that_fills_its_segment_the_head_is_kept(self, version):
        """What is encrypted isn't read; where another record begins behind it, that one's head has to be seen."""
        whole, longer = record(23, bytes(900)), record(23, bytes(9_000))[:1_400]
        for payload, expected in ((whole, RECORD_SNAP), (longer, RECORD_SNAP), (whole + whole, SNAP)):
            packet = segment(ACK, payload, server_port=MAIL, version=version, to_server=False)
            assert run(PROGRAM, ethernet(packet)) == expected

    def test_a_clients_finished_passes_everywhere(self, version):
        """Without it a TLS 1.3 handshake whose client sends no ChangeCipherSpec with it would seem to have failed."""
        for length, expected in ((53, True), (69, True), (85, True), (21, True), (30, False), (200, False)):
            packet = segment(ACK | PSH, record(23, bytes(length)), server_port=WEB, version=version)
            assert passes(packet) is expected, length
            back = segment(ACK | PSH, record(23, bytes(length)), server_port=WEB, version=version, to_server=False)
            assert not passes(back)

    def test_bulk_does_not_pass(self, version):
        for port in (WEB, MAIL, TEXT):
            assert not passes(segment(ACK, BULK, server_port=port, version=version))
            assert not passes(segment(ACK | PSH, BULK, server_port=port, version=version, to_server=False))

    def test_the_tail_of_a_hello_passes(self, version):
        """With PSH, or short; also where it begins with zeros, as the extension server_name does."""
        for tail in (BULK, bytes(1_400), b"\0\0" + BULK):
            assert passes(segment(ACK | PSH, tail, server_port=WEB, version=version))
        for length in (1, 2, 3, 4, 5, 100, SHORT - 1):
            assert passes(segment(ACK, bytes([0x99]) * length, server_port=WEB, version=version)), length
        assert not passes(segment(ACK, bytes(SHORT), server_port=WEB, version=version))

    def test_the_middle_of_a_hello_passes_where_segments_are_small(self, version):
        """An MSS of 536 cuts a post-quantum hello into four."""
        assert passes(segment(ACK, bytes(536), server_port=WEB, version=version))

    def test_mail_in_clear_passes(self, version):
        for text in (
            b"220 mx ESMTP\r\n",
            b"* OK ready\r\n",
            b"+OK\r\n",
            b"a1 NO x\r\n",
            b"334 \r\n",
            b"+ \r\n",
            b"\r\n",
        ):
            assert passes(segment(PSH | ACK, text, server_port=TEXT, version=version, to_server=False)), text
        for text in (
            b"EHLO x\r\n",
            b"AUTH PLAIN AGEAYg==\r\n",
            b"a1 LOGIN x y\r\n",
            b"\r\n",
            b"*\r\n",
            b"dXNlcg==\r\n",
        ):
            assert passes(segment(PSH | ACK, text, server_port=TEXT, version=version)), text

    def test_a_page_in_the_servers_place_passes(self, version):
        page = b"HTTP/1.1 403 Forbidden\r\n\r\n" + b"<html>" * 400
        assert passes(segment(PSH | ACK, page, server_port=WEB, version=version, to_server=False))

    def test_padding_is_no_payload(self, version):
        """A frame is 60 bytes at least: what is behind the IP packet isn't looked at."""
        frame = ethernet(segment(ACK, server_port=TEXT, version=version), pad=0) + b"\x16\x03" * 20
        assert run(PROGRAM, frame) == 0


class TestOtherPorts:
    def test_nothing_passes(self):
        for port in (22, 8443, 444, 1_433):
            for flags in (SYN, FIN | ACK, RST):
                assert not passes(segment(flags, server_port=port))
            assert not passes(segment(ACK | PSH, HELLO, server_port=port))

    def test_anywhere_begin_end_and_handshake_pass_but_not_the_rest(self):
        program = packet_filter(FilterSpec(anywhere=True, known=None))
        for payload, expected in (
            (b"", False),
            (HELLO, True),
            (DATA, False),
            (BULK, False),
            (b"SSH-", False),
            (b"x", False),
            # A Finished that isn't joined to a ChangeCipherSpec, as GnuTLS and NSS send it; and behind an empty certificate.
            (record(23, bytes(52)), True),
            (record(23, bytes(69)), True),
            (record(23, bytes(25)) + record(23, bytes(69)), True),
            (record(23, bytes(25)), False),
            (record(23, bytes(102)), False),
        ):
            assert passes(segment(ACK | PSH, payload, server_port=2_222), program) is expected
        assert passes(segment(SYN, server_port=2_222), program)
        assert passes(segment(ACK, DATA, server_port=WEB, to_server=False), program)

    def test_of_plain_http_only_begin_and_end(self):
        assert passes(segment(SYN, server_port=80))
        assert not passes(segment(PSH | ACK, b"GET / HTTP/1.1\r\n\r\n", server_port=80))
        assert not passes(segment(PSH | ACK, HELLO, server_port=80))

    def test_ports_are_those_of_the_catalogue(self):
        mail, web, plain = ports_of(TARGETS.values())
        assert {465, 587, 993, 995, 143, 110, 25} <= mail
        assert web == {443}
        assert plain == {80}


class TestKnownServers:
    """Their records of data pass on 443 too, so that the first reply is seen."""

    NETWORKS = tuple(map(ip_network, ("198.51.100.20/32", "40.96.0.0/13", "2001:db8:ffff::20/128", "2603:1036::/36")))
    PROGRAM = packet_filter(FilterSpec(known=NETWORKS))

    @pytest.mark.parametrize(
        ("server", "expected"),
        [
            ("198.51.100.20", True), ("198.51.100.21", False), ("40.96.0.1", True), ("40.103.255.255", True),
            ("40.104.0.0", False), ("2001:db8:ffff::20", True), ("2001:db8:ffff::21", False),
            ("2001:db8:ffff:1::20", False), ("2603:1036::1", True), ("2603:1036:fff:ffff::", True),
            ("2603:1036:1000::", False),
        ],
    )  # fmt: skip
    def test_by_the_servers_address(self, server, expected):
        version = 6 if ":" in server else 4
        for to_server in (True, False):
            packet = segment(ACK | PSH, DATA, server=server, server_port=WEB, version=version, to_server=to_server)
            assert passes(packet, self.PROGRAM) is expected

    def test_the_clients_address_does_not_count(self):
        packet = segment(ACK | PSH, DATA, client="40.96.0.1", server="192.0.2.99", server_port=WEB)
        assert not passes(packet, self.PROGRAM)

    def test_as_many_as_fit(self):
        networks = [ip_network(f"203.0.113.{i}/32") for i in range(200)]
        networks += [ip_network(f"2001:db8:{i:x}::{i:x}/128") for i in range(200)]
        program = packet_filter(FilterSpec(known=tuple(networks)))
        assert len(program) < 1_150
        for index, expected in ((0, True), (MAX_KNOWN[4] - 1, True), (MAX_KNOWN[4], False)):
            packet = segment(ACK | PSH, DATA, server=f"203.0.113.{index}", server_port=WEB)
            assert passes(packet, program) is expected
        packet = segment(
            ACK, DATA, server=f"2001:db8:{MAX_KNOWN[6] - 1:x}::{MAX_KNOWN[6] - 1:x}", server_port=WEB, version=6
        )
        assert passes(packet, program)


HOP_BY_HOP = bytes([0]) + bytes([6, 0, 1, 4, 0, 0, 0, 0])
ROUTING_THEN_OPTIONS = bytes([43]) + bytes([60, 0, 0, 0, 0, 0, 0, 0]) + bytes([6, 1]) + bytes(14)
ATOMIC_FRAGMENT = bytes([44]) + bytes([6, 0, 0, 0, 0, 0, 0, 9])


class TestHeaders:
    @pytest.mark.parametrize("packet", [segment(ACK | PSH, HELLO), segment(ACK | PSH, HELLO, version=6)])
    def test_tags_and_sessions(self, packet):
        frames = (
            ethernet(packet, tags=vlan(7)),
            ethernet(packet, tags=vlan(7, 0x88A8) + vlan(8)),
            ethernet(packet, tags=vlan(7, 0x9100) + vlan(8) + vlan(9)),
            pppoe(packet),
        )
        for frame in frames:
            assert run(PROGRAM, frame) == HANDSHAKE_SNAP
        assert run(PROGRAM, ethernet(packet, tags=vlan(1) * 4)) == 0

    @pytest.mark.parametrize("extensions", [HOP_BY_HOP, ROUTING_THEN_OPTIONS, ATOMIC_FRAGMENT])
    def test_extension_headers(self, extensions):
        for flags, payload, expected in ((SYN, b"", True), (ACK, b"", False), (ACK, HELLO, True), (ACK, BULK, False)):
            packet = segment(flags, payload, version=6, extensions=extensions, to_server=False)
            assert passes(packet) is expected

    def test_later_fragments_do_not_pass(self):
        assert not passes(ip("192.0.2.1", "192.0.2.2", 6, tcp(993, 1, SYN), fragment=0x0010))
        piece = bytes([44]) + bytes([6, 0, 0, 0x10, 0, 0, 0, 9])
        assert not passes(segment(SYN, version=6, extensions=piece))

    def test_options(self):
        assert passes(segment(ACK, HELLO, ip_options=bytes(8), options=bytes(12)))
        assert not passes(segment(ACK, ip_options=bytes(8), options=bytes(12)))

    def test_merged_segments_longer_than_ip_can_say(self):
        for version in (4, 6):
            body = tcp(993, 50_000, ACK, HELLO + BULK * 50)
            packet = ip(
                *(("192.0.2.1", "192.0.2.2") if version == 4 else ("2001:db8::1", "2001:db8::2")), 6, body, total=0
            )
            assert passes(packet)
            bare = ip("192.0.2.1", "192.0.2.2", 6, tcp(993, 50_000, ACK), total=0)
            assert run(PROGRAM, ethernet(bare, pad=0)) == 0

    def test_without_a_link_header(self):
        program = packet_filter(FilterSpec(link=Link.RAW))
        for version in (4, 6):
            assert run(program, segment(SYN, version=version)) == SNAP
            assert run(program, segment(ACK, version=version)) == 0
            assert run(program, segment(ACK, HELLO, version=version)) == HANDSHAKE_SNAP
        assert run(program, b"\x00" * 60) == 0

    def test_what_goes_out_is_passed_over_on_loopback(self):
        program = packet_filter(FilterSpec(skip_outgoing=True))
        frame = ethernet(segment(SYN))
        assert run(program, frame, {4: 0}) == SNAP
        assert run(program, frame, {4: 4}) == 0


class TestOtherProtocols:
    @pytest.mark.parametrize("addresses", [("192.0.2.53", "192.0.2.1"), ("2001:db8::53", "2001:db8::1")])
    def test_dns_answers_pass_and_questions_do_not(self, addresses):
        here, there = addresses
        assert passes(ip(here, there, 17, udp(53, 40_000, bytes(40))))
        assert not passes(ip(here, there, 17, udp(40_000, 53, bytes(40))))
        assert not passes(ip(here, there, 17, udp(5_353, 5_353, bytes(40))))

    def test_the_first_packets_of_quic_pass(self):
        for first, expected in ((0xC3, True), (0xD0, True), (0xE0, False), (0x40, False)):
            assert passes(ip("192.0.2.1", "192.0.2.2", 17, udp(40_000, 443, bytes([first]) + bytes(1_200)))) is expected
        assert not passes(ip("192.0.2.1", "192.0.2.2", 17, udp(40_000, 443, b"")))

    @pytest.mark.parametrize(
        ("kind", "expected"), [(3, True), (11, True), (12, True), (0, False), (8, False), (5, False)]
    )
    def test_icmp_errors_that_quote_tcp(self, kind, expected):
        assert passes(ip("192.0.2.1", "192.0.2.10", 1, icmp(kind, 1, segment(SYN)[:28]))) is expected
        assert not passes(
            ip("192.0.2.1", "192.0.2.10", 1, icmp(3, 3, ip("192.0.2.10", "192.0.2.2", 17, udp(1, 2, b""))))
        )

    @pytest.mark.parametrize(
        ("kind", "expected"), [(1, True), (2, True), (3, True), (4, True), (128, False), (135, False)]
    )
    def test_icmpv6_errors_that_quote_tcp(self, kind, expected):
        packet = ip("2001:db8::1", "2001:db8::10", 58, icmp(kind, 0, segment(SYN, version=6)[:48]))
        assert passes(packet) is expected

    def test_anything_else_does_not(self):
        for frame in (b"", b"\0" * 13, b"\xff" * 60, ethernet(b"\x45")[:15], bytes(12) + b"\x08\x06" + bytes(46)):
            assert run(PROGRAM, frame) == 0


program_of = functools.cache(packet_filter)


@contextmanager
def kernel(program):
    """The kernel's own machine, asked through a filter on a Unix datagram socket: no right is needed for that.

    Yields a function that gives what passes of a packet, in bytes of it, and the socket.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.setblocking(False)
        attach(theirs, program)

        def ask(packet: bytes) -> int:
            ours.send(packet)
            try:
                return len(theirs.recv(65_536))
            except BlockingIOError:
                return 0

        yield ask, theirs


NETWORKS = tuple(map(ip_network, ("198.51.100.0/24", "2001:db8:ffff::/48")))
SPECS = (
    FilterSpec(plain=frozenset({80})),
    FilterSpec(known=NETWORKS, web=frozenset({443, 8_443})),
    FilterSpec(anywhere=True, known=None),
    FilterSpec(link=Link.RAW, known=NETWORKS),
)


@st.composite
def frames(draw):
    """Packets near to what the filter looks at: right ones, and ones with a byte changed, cut, or longer."""
    payload = draw(
        st.sampled_from(
            [
                b"",
                b"x",
                b"\x16\x03",
                HELLO,
                DATA,
                record(23, bytes(53)),
                record(21, b"\2\0"),
                b"220 mx\r\n",
                BULK,
                bytes(40),
            ]
        )
    )
    packet = segment(
        draw(st.sampled_from([SYN, ACK, ACK | PSH, FIN | ACK, RST])),
        payload,
        server_port=draw(st.sampled_from([25, 80, 443, 587, 993, 2_222])),
        version=(version := draw(st.sampled_from([4, 6]))),
        to_server=draw(st.booleans()),
        extensions=draw(st.sampled_from([b"", HOP_BY_HOP, ROUTING_THEN_OPTIONS, ATOMIC_FRAGMENT]))
        if version == 6
        else b"",
        options=bytes(draw(st.sampled_from([0, 4, 12, 40]))),
    )
    frame = bytearray(draw(st.sampled_from([ethernet(packet), ethernet(packet, tags=vlan(5)), pppoe(packet), packet])))
    for _ in range(draw(st.integers(0, 2))):
        frame[draw(st.integers(0, min(len(frame), 90) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(1, len(frame)))] if draw(st.booleans()) else frame)


class TestTheKernelAgrees:
    @settings(max_examples=300, deadline=None)
    @given(frame=frames(), spec=st.sampled_from(SPECS))
    def test_on_packets_near_the_rules(self, frame, spec):
        program = program_of(spec)
        with kernel(program) as (ask, _):
            assert ask(frame) == min(run(program, frame), len(frame))

    def test_on_noise(self):
        randomness = random.Random(5)
        program = program_of(SPECS[0])
        with kernel(program) as (ask, _):
            for _ in range(1_000):
                frame = randomness.randbytes(randomness.randrange(1, 200))
                assert ask(frame) == min(run(program, frame), len(frame))

    def test_it_takes_every_filter_and_one_in_the_others_place(self):
        full = tuple(ip_network(f"2001:db8:{i:x}::{i:x}/128") for i in range(48))
        full += tuple(ip_network(f"203.0.{i}.0/24") for i in range(64))
        for spec in (*SPECS, FilterSpec(known=full)):
            with kernel(program_of(spec)) as (_, sock):
                attach(sock, program_of(FilterSpec(known=full[1:])))

    def test_that_a_wrong_program_is_refused(self):
        with (
            pytest.raises(OSError, match="Invalid argument"),
            kernel((Instruction(0x15, 9, 9, 0), Instruction(6, 0, 0, 1))),
        ):
            pass


def test_bulk_hardly_passes():
    """Random bytes in full segments: what passes does so by chance, 3 in 65,536 for each kind of record."""
    passed = sum(
        run(PROGRAM, ethernet(segment(ACK, os.urandom(64) + bytes(1_400), to_server=False, server_port=WEB))) > 0
        for _ in range(4_000)
    )
    assert passed <= 4
