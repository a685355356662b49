"""Programs that read captures as `inspect` does: how each is started, what it names, what it uses."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measured_child
from benchmarks.children import PYTHON, ROOT, program
from benchmarks.machine import NotPossible
from benchmarks.traffic.judge import Key
from exporter.wire.filter_expression import expression
from exporter.wire.kernel_filter import MAIL_PORTS, WEB_PORTS, FilterSpec

#: A peer that takes longer is given up, seconds.
PATIENCE = 300.0
#: Where those written in Python are installed, in a virtual environment of their own: no dependencies of ours.
CACHE = Path("/tmp/bench-peers")
_RELEASES = ("nfstream==6.6.0", "scapy==2.6.1")

OURS, TCPDUMP, TSHARK = "ours: inspect", "tcpdump, the same filter", "tshark"
NFSTREAM, NDPI, SCAPY = "nfstream", "ndpiReader", "scapy"

Names = dict[Key, str]

_NFSTREAM_SCRIPT = """
import sys
from nfstream import NFStreamer
for flow in NFStreamer(source=sys.argv[1], n_dissections=20, statistical_analysis=False, n_meters=1):
    print(flow.src_ip, flow.src_port, flow.dst_ip, flow.dst_port, flow.requested_server_name, sep="\\t")
"""
_SCAPY_SCRIPT = """
import sys
from scapy.layers.inet import TCP
from scapy.layers.tls.extensions import TLS_Ext_ServerName
from scapy.utils import PcapReader
import scapy.layers.l2, scapy.layers.inet6, scapy.layers.tls.all
for packet in PcapReader(sys.argv[1]):
    if TCP in packet and TLS_Ext_ServerName in packet:
        names = packet[TLS_Ext_ServerName].servernames
        ip = packet[TCP].underlayer
        if names:
            print(ip.src, packet[TCP].sport, ip.dst, packet[TCP].dport, names[0].servername.decode(), sep="\\t")
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What one process and its children used: seconds, MiB, exit status; `output` is its stdout."""

    cpu: float
    wall: float
    peak: float
    status: int
    output: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """`command` gets the capture and the place of its output; `names` reads that, None where it names nothing."""

    name: str
    command: Callable[[Path, Path], Sequence[str]]
    names: Callable[[Path], Names] | None = None


def measured(command: Sequence[str], output: Path) -> Run:
    """Runs it to its end, from a small process (`measured_child`)."""
    parent = [PYTHON, "-S", "-E", str(Path(measured_child.__file__)), str(output), str(output.with_suffix(".err"))]
    said = subprocess.run([*parent, *command], cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)
    cpu, wall, peak, status = said.stdout.split()
    return Run(float(cpu), float(wall), int(peak) / 1024, int(status), output)


def peers() -> list[Peer]:
    """All of them. Raises NotPossible where one isn't installed."""
    tcpdump, tshark = program("tcpdump", "tcpdump"), program("tshark", "tshark")
    ndpi = program("ndpiReader", "libndpi-bin")
    fields = ["ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport"]
    fields.append("tls.handshake.extensions_server_name")
    shown = [word for name in fields for word in ("-e", name)]
    python = str(peers_python())
    return [
        Peer(OURS, lambda file, _: [PYTHON, "-m", "exporter", "inspect", str(file), "--json"], our_names),
        Peer(TCPDUMP, lambda file, _: [tcpdump, "-r", str(file), "-w", "/dev/null", kernel_filter()]),
        Peer(
            NDPI, lambda file, output: [ndpi, "-i", str(file), "-q", "-C", str(output.with_suffix(".csv"))], _ndpi_table
        ),
        Peer(NFSTREAM, lambda file, _: [python, "-c", _NFSTREAM_SCRIPT, str(file)], tab_names),
        Peer(
            TSHARK,
            lambda file, _: [tshark, "-r", str(file), "-Y", "tls.handshake.type==1", "-T", "fields", *shown],
            tshark_names,
        ),
    ]


def scapy_peer() -> Peer:
    """On a part of the file only: it takes minutes for the whole."""
    python = str(peers_python())
    return Peer(SCAPY, lambda file, _: [python, "-c", _SCAPY_SCRIPT, str(file)], tab_names)


def kernel_filter() -> str:
    """What the live capture lets pass, as tcpdump's expression for files with VLAN tags."""
    return expression(FilterSpec(mail=MAIL_PORTS, web=WEB_PORTS, plain=frozenset(), known=None), with_vlan=True)


def peers_python() -> Path:
    """The Python that has nfstream and scapy, installed from PyPI at the first use. Raises NotPossible."""
    python, complete = CACHE / "bin" / "python", CACHE / "complete"
    if not complete.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(CACHE)], check=True, capture_output=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", *_RELEASES], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            raise NotPossible(f"nfstream can't be installed: {error.stderr.decode()[-500:]}") from error
        complete.touch()
    return python


def our_names(output: Path) -> Names:
    said = map(json.loads, output.read_text().splitlines())
    return {
        (each["client"], each["client_port"], each["server"], each["server_port"]): each["sni"]
        for each in said
        if each.get("sni")  # a summary has none
    }


def tab_names(output: Path) -> Names:
    rows = (line.split("\t") for line in output.read_text().splitlines())
    return {(row[0], int(row[1]), row[2], int(row[3])): row[4] for row in rows if row[4]}


def tshark_names(output: Path) -> Names:
    rows = (line.split("\t") for line in output.read_text().splitlines())
    return {(row[0] or row[1], int(row[2]), row[3] or row[4], int(row[5])): row[6] for row in rows if row[6]}


def ndpi_names(output: Path) -> Names:
    """Of its table, wherever it was written."""
    with output.open(newline="") as lines:
        return {
            (row["src_ip"], int(row["src_port"]), row["dst_ip"], int(row["dst_port"])): row["server_name_sni"]
            for row in csv.DictReader(lines)
            if row["server_name_sni"]
        }


def _ndpi_table(output: Path) -> Names:
    """It writes its table beside what it prints."""
    return ndpi_names(output.with_suffix(".csv"))
