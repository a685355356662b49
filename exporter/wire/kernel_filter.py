"""Which packets the kernel shows the inspector: those that tell something, so that its cost follows connections.

A stateless program sees one packet at a time. Of TCP at the servers' ports it lets pass

* SYN, FIN and RST: they begin and end connections, and their sequence numbers count the bytes between;
* what begins with a record of a handshake, an alert or ChangeCipherSpec. Sixteen bits are compared: one byte alone
  would let 1.2 % of bulk pass, where a segment continues something encrypted;
* on mail's ports, and at known servers (`known`), what begins with a record of application data: a sign-in is read
  from those records' lengths and directions;
* at other ports what begins with a client's record in which TLS 1.3's Finished fits; at ports of which nothing is known
  (`anywhere`) either side's;
* what else a client sends in a short segment or with PSH: the rest of a ClientHello (post-quantum ones have two
  segments and their name in the second), and mail's commands in clear;
* what else a server sends that begins with characters, likewise: mail in clear, and the pages and
  banners of those who answer in its place.

Further: DNS answers, ICMP errors that quote TCP, and the first packets of QUIC, which are only counted. IPv4 and IPv6
with extension headers, behind VLAN tags (the kernel has taken off the outer one before we look) and PPPoE.

Of what a stateless program can't tell, one with a memory asks it (`kernel_memory`, FilterSpec.remembering).

Loads past a packet's end make a program reject it, so nothing is loaded of a payload before its length is known; the
length is that of the IP header, for short frames are padded.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from exporter.catalogue import STARTTLS_PORTS, Target
from exporter.vocabulary import Protocol
from exporter.wire.bpf import Instruction, assemble

Network = IPv4Network | IPv6Network

#: Bytes kept of a handshake's segment (a server's flight that the card has merged), and of any other.
HANDSHAKE_SNAP, SNAP = 16_384, 4_096
#: Bytes kept where a protected record begins and no other: tags, IP and TCP with all their options (151), and the
#: record's own header. IPv6 extension headers of more than a hundred bytes would cut that.
RECORD_SNAP = 256
#: A segment shorter than this is no part of bulk, where a full one has 1,220 bytes or more (IPv6's smallest MTU).
SHORT = 1_024
#: Networks of known servers that a program has room for, by IP version: while one program replaces another, both must
#: fit into what the kernel grants a socket's options (net.core.optmem_max, 20 kB on many).
MAX_KNOWN = {4: 64, 6: 48}
#: Lengths of a protected record with TLS 1.3's Finished (36 or 52 bytes, type, tag; up to 16 of padding) or another
#: of its messages that a client begins a segment with.
FINISHED = range(50, 102)
END_OF_EARLY_DATA = 4 + 17
#: A segment in which a Finished stands behind the record of an empty certificate: GnuTLS, asked for one, has none.
SHORTEST_WITH_FINISHED = 5 + 8 + 17 + 5 + FINISHED.start
#: VLAN tags or PPPoE in front of IP, and IPv6 extension headers, that are stepped over.
MAX_TAGS, MAX_EXTENSIONS = 3, 3

#: What a program that asks a memory returns instead of a length: a message of the handshake goes on behind this
#: segment; this may be bulk, or the rest of such a message; these are records of a server that it doesn't know.
GOES_ON, UNTOLD, STRANGER = 0x7FFF_FFF0, 0x7FFF_FFF1, 0x7FFF_FFF2
#: Where in M[] the memory finds the IP header's place and version, what is known of the port, the payload's length, the
#: bytes to keep of records, the TCP header's place, and how many bytes of a message are still to come.
IP_WORD, VERSION_WORD, FLAGS_WORD, LENGTH_WORD, SNAP_WORD, TCP_WORD, MISSING_WORD = 1, 2, 3, 5, 6, 8, 9
#: Of M[FLAGS_WORD]: a client sent it.
CLIENT = 1
#: Messages of a handshake in one segment, each with a record of its own, that are stepped over to find one that goes
#: on; bytes that are missing where not even the record's length is here.
MAX_MESSAGES, UNKNOWN_REST = 5, 4_096

MAIL_PORTS = frozenset({465, 993, 995}) | STARTTLS_PORTS
WEB_PORTS = frozenset({443})
_SPEAK_MAIL = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})


class Link(Enum):
    """What a frame begins with: bytes in front of IP."""

    ETHERNET = 14
    RAW = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSpec:
    """`mail`, `web`: servers' ports with TLS. `plain`: those of which only SYN, FIN and RST tell something (HTTP).

    `known`: networks of servers whose records of application data pass also at `web` ports, the first MAX_KNOWN of
    them; None: any server's.
    `anywhere`: connections' begin, end and handshakes pass at every port. `skip_outgoing`: for loopback, where each
    packet is seen twice. `remembering`: it returns GOES_ON, UNTOLD and STRANGER.
    """

    mail: frozenset[int] = MAIL_PORTS
    web: frozenset[int] = WEB_PORTS
    plain: frozenset[int] = frozenset()
    known: tuple[Network, ...] | None = ()
    anywhere: bool = False
    link: Link = Link.ETHERNET
    skip_outgoing: bool = False
    remembering: bool = False

    def remembering_at(self, link: Link, *, skip_outgoing: bool) -> "FilterSpec":
        """The same for a memory, at another link."""
        return replace(self, link=link, skip_outgoing=skip_outgoing, remembering=True)


def ports_of(targets: Iterable[Target]) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    """Ports of mail, of other TLS and of plain HTTP: the catalogue's, and mail's usual ones."""
    mail, web = set(MAIL_PORTS), set(WEB_PORTS)
    plain: set[int] = set()
    for target in targets:
        kind = mail if target.protocol in _SPEAK_MAIL else plain if target.protocol is Protocol.HTTP else web
        kind.add(target.port)
    return frozenset(mail), frozenset(web - mail), frozenset(plain - mail - web)


def packet_filter(spec: FilterSpec) -> tuple[Instruction, ...]:
    """The program."""
    return assemble(description(spec))


def description(spec: FilterSpec) -> str:
    """The program's text.

    X: offset of the header at hand, less the link's. M[0]: the IP packet's end, M[1]: the IP header, M[2]: 4 or 6,
    M[3]: what is known of the port (bits below), M[4]: TCP flags, M[5]: the payload's length; M[8]: the TCP header.
    """
    skip = "ld #pkttype\n jeq #4, drop\n" if spec.skip_outgoing else ""
    return "".join(
        (
            skip,
            _link(spec.link),
            _ip(spec.link),
            _tcp(spec),
            _payload(spec.link),
            _known(spec),
            _others(spec.link),
            _END,
            _asking(spec.link) if spec.remembering else _ALONE,
        )
    )


_RECORDS, _PLAIN, _ELSEWHERE = 2, 4, 8
_END = f"""
told:    ld M[{SNAP_WORD}]
         ret a
drop:    ret #0
pass:    ret #{SNAP}
"""
_ALONE = f"""
hands:   ret #{HANDSHAKE_SNAP}
untold:  ret #0
stranger: ret #0
"""


def _asking(link: Link) -> str:
    """What only a memory can tell. A message that goes on behind this segment is found by stepping from record to
    record."""
    at, rest, place = link.value, LENGTH_WORD, MISSING_WORD
    text = f"""
hands:   stx M[{place}]
"""
    for _ in range(MAX_MESSAGES):
        text += f"""
         ld M[{rest}]
         jge #5, , cut
         ldh [x + {at}]
         jeq #0x1603, , whole
         ldh [x + {at + 3}]
         add #5
         st M[6]
         ldx M[6]
         ld M[{rest}]
         sub x
         jeq #0, whole
         jset #0x80000000, beyond
         st M[{rest}]
         ld M[{place}]
         add x
         st M[{place}]
         ldx M[{place}]
"""
    return f"""{text}
whole:   ret #{HANDSHAKE_SNAP}
beyond:  ldx M[{rest}]
         ld M[6]
         sub x
         st M[{place}]
         ret #{GOES_ON}
cut:     ld #{UNKNOWN_REST}
         st M[{place}]
         ret #{GOES_ON}
untold:  ret #{UNTOLD}
stranger: ret #{STRANGER}
"""


def _link(link: Link) -> str:
    """To the IP header, past tags."""
    if link is Link.RAW:
        return "ldx #0\n ldb [0]\n rsh #4\n jeq #4, ipv4\n jeq #6, ipv6, drop\n"
    text = "ldx #0\n"
    for level in range(MAX_TAGS + 1):
        text += f"""
tag{level}:    ldh [x + 12]
         jeq #0x0800, ipv4
         jeq #0x86dd, ipv6
"""
        if level == MAX_TAGS:
            return text + " ja drop\n"
        text += f"""
         jeq #0x8100, vlan{level}
         jeq #0x88a8, vlan{level}
         jeq #0x9100, vlan{level}
         jeq #0x8864, pppoe{level}, drop
pppoe{level}:  ldh [x + 20]
         st M[1]
         txa
         add #8
         tax
         ld M[1]
         jeq #0x0021, ipv4
         jeq #0x0057, ipv6, drop
vlan{level}:   txa
         add #4
         tax
"""
    return text


def _ip(link: Link) -> str:
    """To `tcp`, `udp` or `icmp`. The IP length is 0 where the card has merged more than it can say."""
    at = link.value
    text = f"""
ipv4:    stx M[1]
         ld #4
         st M[2]
         ldh [x + {at + 6}]
         jset #0x1fff, drop             ; a later fragment has no ports
         ldh [x + {at + 2}]
         jeq #0, endless4
         add x
         ja end4
endless4: ld len
         sub #{at}
end4:    st M[0]
         ldb [x + {at + 9}]
         st M[5]
         ldb [x + {at}]
         and #0x0f
         lsh #2
         add x
         tax
         ld M[5]
         jeq #6, tcp
         jeq #17, udp
         jeq #1, icmp4, drop
ipv6:    stx M[1]
         ld #6
         st M[2]
         ldh [x + {at + 4}]
         jeq #0, endless6
         add #40
         add x
         ja end6
endless6: ld len
         sub #{at}
end6:    st M[0]
         ldb [x + {at + 6}]
         st M[5]
         txa
         add #40
         tax
"""
    for level in range(MAX_EXTENSIONS + 1):
        text += f"""
next{level}:   ld M[5]
         jeq #6, tcp
         jeq #17, udp
         jeq #58, icmp6
"""
        if level == MAX_EXTENSIONS:
            return text + " ja drop\n"
        text += f"""
         jeq #0, skip{level}
         jeq #43, skip{level}
         jeq #60, skip{level}
         jeq #44, piece{level}, drop
piece{level}:  ldh [x + {at + 2}]
         jset #0xfff8, drop             ; a later fragment
         ldb [x + {at}]
         st M[5]
         ld #8
         ja over{level}
skip{level}:   ldb [x + {at}]
         st M[5]
         ldb [x + {at + 1}]
         add #1
         lsh #3
over{level}:   add x
         tax
"""
    return text


def _tcp(spec: FilterSpec) -> str:
    """To `payload`, or already told by port and flags."""
    at = spec.link.value
    classes = (
        ("web", spec.web, _RECORDS if spec.known is None else 0),
        ("mail", spec.mail, _RECORDS),
        ("plain", spec.plain, _PLAIN),
    )
    text = f"tcp: ldh [x + {at + 2}]\n"
    text += "".join(f" jeq #{port}, to_{name}\n" for name, ports, _ in classes for port in sorted(ports))
    text += f" ldh [x + {at}]\n"
    text += "".join(f" jeq #{port}, from_{name}\n" for name, ports, _ in classes for port in sorted(ports))
    text += f" ld #{_ELSEWHERE}\n ja begin\n" if spec.anywhere else " ja drop\n"
    for name, _, bits in classes:
        text += f"to_{name}: ld #{bits | CLIENT}\n ja begin\nfrom_{name}: ld #{bits}\n ja begin\n"
    return f"""{text}
begin:   st M[3]
         stx M[{TCP_WORD}]
         ldb [x + {at + 13}]
         st M[4]
         jset #0x07, pass               ; FIN, SYN, RST
         ld M[3]
         jset #{_PLAIN}, drop
"""


def _payload(link: Link) -> str:
    at = link.value
    return f"""
         ldb [x + {at + 12}]
         and #0xf0
         rsh #2
         add x
         tax
         ld M[0]
         sub x
         jeq #0, drop
         jset #0x80000000, drop         ; lengths that contradict each other
         st M[5]
         jge #5, long
         ld M[3]
         jset #{_ELSEWHERE}, untold, pass
long:    ld [x + {at}]
         st M[6]
         rsh #16
         jeq #0x1603, hands
         jeq #0x1503, hands
         jeq #0x1403, hands
         jeq #0x1703, records
         ld M[3]
         jset #{_ELSEWHERE}, untold
         jset #{CLIENT}, tail
         ld M[6]                        ; four of ASCII, the first two from space on?
         jset #0x80808080, untold
         rsh #16
         add #0x6060
         and #0x8080
         jeq #0x8080, tail, untold
tail:    ld M[4]
         jset #0x08, pass               ; PSH
         ld M[5]
         jge #{SHORT}, untold, pass
records: ld M[3]
         jset #{_ELSEWHERE}, little
         ldh [x + {at + 3}]
         st M[7]
         add #5
         st M[{SNAP_WORD}]
         ldx M[{SNAP_WORD}]
         ld M[5]
         sub x
         jeq #0, alone
         jset #0x80000000, alone
         ld #{SNAP}                     ; another record follows in this segment
         ja sized
alone:   ld #{RECORD_SNAP}
sized:   st M[{SNAP_WORD}]
         ld M[3]
         jset #{_RECORDS}, told
         jset #{CLIENT}, , others
         ld M[7]                        ; of the client's: can it hold a Finished, or the end of early data?
         jeq #{END_OF_EARLY_DATA}, pass
         jge #{FINISHED.start}, , others
         jge #{FINISHED.stop}, others, pass
little:  ldh [x + {at + 3}]             ; nobody knows here who is the client
         jge #{FINISHED.stop}, drop
         jge #{FINISHED.start}, pass
         ld M[5]                        ; or behind a certificate of nobody's
         jge #{SHORTEST_WITH_FINISHED}, pass, drop
others:
"""


def _known(spec: FilterSpec) -> str:
    """To `told` or `stranger`, by the server's address."""
    at = spec.link.value
    known = {version: [each for each in spec.known or () if each.version == version] for version in MAX_KNOWN}
    text = f"""
         ldx M[1]
         ld M[2]
         jeq #6, known6
         ld M[3]
         jset #{CLIENT}, destination4
         ld [x + {at + 12}]
         ja known4
destination4: ld [x + {at + 16}]
known4:  st M[7]
"""
    for number, network in enumerate(known[4][: MAX_KNOWN[4]]):
        text += f" ld M[7]\n{_compared(network, f'not4_{number}')} ja told\nnot4_{number}:\n"
    text += f"""
         ja stranger
known6:  ld M[3]
         jset #{CLIENT}, , known6s
         txa
         add #16
         tax
known6s:
"""
    for number, network in enumerate(known[6][: MAX_KNOWN[6]]):
        text += f"{_compared(network, f'not6_{number}', at + 8)} ja told\nnot6_{number}:\n"
    return text + " ja stranger\n"


def _compared(network: Network, otherwise: str, at: int | None = None) -> str:
    """On to the next line where the address is within. Without `at` it is in A already."""
    text = ""
    masks, words = network.netmask.packed, network.network_address.packed
    for place in range(0, len(words), 4):
        mask = int.from_bytes(masks[place : place + 4])
        if mask == 0:
            break
        if at is not None:
            text += f" ld [x + {at + place}]\n"
        if mask != 0xFFFFFFFF:
            text += f" and #{mask}\n"
        text += f" jeq #{int.from_bytes(words[place : place + 4])}, , {otherwise}\n"
    return text


def _others(link: Link) -> str:
    at = link.value
    return f"""
udp:     ldh [x + {at}]
         jeq #53, pass
         ldh [x + {at + 2}]
         jeq #443, quic, drop
quic:    ldh [x + {at + 4}]
         jgt #8, initial, drop
initial: ldb [x + {at + 8}]
         and #0xe0
         jeq #0xc0, pass, drop          ; RFC 9000, 17.2.2; RFC 9369, 3.2
icmp4:   ldb [x + {at}]
         jeq #3, quoted4
         jeq #11, quoted4
         jeq #12, quoted4, drop
quoted4: ldb [x + {at + 8 + 9}]
         jeq #6, pass, drop
icmp6:   ldb [x + {at}]
         jeq #0, drop
         jgt #4, drop
         ldb [x + {at + 8 + 6}]
         jeq #6, pass, drop
"""
