"""`python -m benchmarks.traffic.generate FILE TRUTH [--connections N] [--bulk BYTES]`: a capture file and its truth.

The same seed gives the same connections at the same times with the same troubles. What OpenSSL picks itself (randoms,
keys, signatures) differs, and with ECDSA's signatures a few lengths by a byte or two.
"""

import argparse
import ipaddress
import json
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, TextIO

from benchmarks.traffic.authorities import make_authority
from benchmarks.traffic.connections import Fate, Plan, Trouble, packets_of
from benchmarks.traffic.dialogues import BEFORE_STARTTLS, sign_in
from benchmarks.traffic.handshakes import Handshake, record_handshakes
from benchmarks.traffic.packets import Ends

NAMES = (
    "outlook.office365.com", "smtp.office365.com", "imap-mail.outlook.com", "smtp-mail.outlook.com",
    "pop-mail.outlook.com", "login.microsoftonline.com", "login.live.com", "outlook.live.com", "eas.outlook.com",
    *(f"host{number:02}.example.com" for number in range(21)),
)  # fmt: skip
PORTS, PORT_WEIGHTS = (443, 993, 587, 995), (55, 25, 10, 10)
FATES = {
    Fate.COMPLETE: 93.0,
    Fate.NO_SYN_ACK: 1.5,
    Fate.REFUSED: 0.5,
    Fate.HELLO_UNANSWERED: 2.0,
    Fate.HELLO_RESET: 2.0,
    Fate.RESET_IN_HANDSHAKE: 1.0,
}
TROUBLES = {Trouble.NONE: 91.0, Trouble.REPEATED: 3.0, Trouble.LATE: 3.0, Trouble.REORDERED: 3.0}
#: Handshakes that fail, and those with a large hello, in percent.
FAILING, LARGE = 3.0, 15.0
IPV6_SHARE, VLAN_SHARE, ODD_CUTS_SHARE, TWO_RECORDS_SHARE = 0.20, 0.10, 0.10, 0.02
#: Behind the last connection the capture goes on so long, so that silence is silence, µs.
QUIET = 15_000_000
BEGINNING = 1_760_000_000_000_000

FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
_PACKET_HEADER = struct.Struct("<IIII")


def plans(
    seed: int, connections: int, per_second: float, bulk: int, kinds: dict[str, list[Handshake]]
) -> Iterator[Plan]:
    """One after another by their start."""
    generator = random.Random(seed)
    failing = [kind for kind in kinds if not kinds[kind][0].established]
    large = [kind for kind in kinds if kind.startswith("large")]
    usual = [kind for kind in kinds if kind not in failing and kind not in large]
    for number in range(connections):
        port = generator.choices(PORTS, PORT_WEIGHTS)[0]
        group = generator.choices((failing, large, usual), (FAILING, LARGE, 100 - FAILING - LARGE))[0]
        host = generator.randrange(len(kinds[group[0]]))
        fate = generator.choices(list(FATES), list(FATES.values()))[0]
        yield Plan(
            ends=_ends(generator, number, host, port),
            handshake=kinds[generator.choice(group)][host],
            fate=fate if group is not failing else Fate.COMPLETE,
            trouble=generator.choices(list(TROUBLES), list(TROUBLES.values()))[0],
            start=BEGINNING + int(number / per_second * 1e6),
            round_trip=generator.randrange(2_000, 80_000),
            bulk=bulk,
            odd_cuts=generator.choice((1, 1, 2, 3)) if generator.random() < ODD_CUTS_SHARE else 0,
            two_records=generator.random() < TWO_RECORDS_SHARE,
            clear_text=BEFORE_STARTTLS if port == 587 else (),
            sign_in=sign_in(port, generator),
        )


def _ends(generator: random.Random, number: int, host: int, port: int) -> Ends:
    """Clients' ports aren't used again before 20,000 others were."""
    six = generator.random() < IPV6_SHARE
    client = f"2001:db8::c:{number % 200:x}" if six else f"10.1.{number % 200}.7"
    server = f"2001:db8::5:{host:x}" if six else f"192.0.2.{host + 1}"
    vlan = generator.randrange(2, 4000) if generator.random() < VLAN_SHARE else None
    packed = (ipaddress.ip_address(address).packed for address in (client, server))
    return Ends(next(packed), 20_000 + number // 200 % 20_000, next(packed), port, vlan)


def write(
    capture: BinaryIO,
    truths: TextIO,
    seed: int,
    connections: int,
    per_second: float,
    bulk: int,
    names: Sequence[str] = NAMES,
) -> int:
    """Writes both files, packets by time; how many packets there are."""
    kinds = _record(names)
    generator = random.Random(seed + 1)
    pool = generator.randbytes(1 << 20)
    capture.write(FILE_HEADER)
    waiting: list[tuple[int, bytes]] = []
    count = 0
    end = BEGINNING
    for plan in plans(seed, connections, per_second, bulk, kinds):
        packets, truth = packets_of(plan, pool, generator)
        truths.write(json.dumps(asdict(truth)) + "\n")
        waiting += packets
        if len(waiting) > 50_000:
            waiting.sort(key=_time)
            due = sum(1 for _ in _before(waiting, plan.start))
            count += put(capture, waiting[:due])
            del waiting[:due]
    waiting.sort(key=_time)
    end = waiting[-1][0] + QUIET
    count += put(capture, [*waiting, (end, waiting[-1][1])])
    return count


def _time(packet: tuple[int, bytes]) -> int:
    return packet[0]


def _before(packets: list[tuple[int, bytes]], time: int) -> Iterator[tuple[int, bytes]]:
    for packet in packets:
        if packet[0] >= time:
            return
        yield packet


def put(capture: BinaryIO, packets: Sequence[tuple[int, bytes]]) -> int:
    """Frames with their times, µs since 1970; returns how many."""
    for time, frame in packets:
        capture.write(_PACKET_HEADER.pack(time // 1_000_000, time % 1_000_000, len(frame), len(frame)))
        capture.write(frame)
    return len(packets)


def _record(names: Sequence[str]) -> dict[str, list[Handshake]]:
    """By kind, one for each name."""
    with TemporaryDirectory(prefix="bench-traffic-", dir="/tmp") as name:
        directory = Path(name)
        rsa = make_authority(directory, "Example Cloud CA 1", "Example Trust", names, rsa_key=True)
        elliptic = make_authority(directory, "Example EC CA 2", "Example Trust, Inc.", names, rsa_key=False)
        recorded = [record_handshakes(name, rsa, elliptic) for name in names]
    return {each.kind: [named[index] for named in recorded] for index, each in enumerate(recorded[0])}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic.generate", description=__doc__)
    parser.add_argument("capture", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--connections", type=int, default=1_000)
    parser.add_argument("--bulk", type=int, default=20_000, help="bytes that the server sends in each")
    parser.add_argument("--per-second", type=float, default=500.0, help="connections begun")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with given.capture.open("wb", buffering=1 << 20) as capture, given.truth.open("w") as truths:
        count = write(capture, truths, given.seed, given.connections, given.per_second, given.bulk)
    print(f"{count} packets of {given.connections} connections, {given.capture.stat().st_size} bytes")


if __name__ == "__main__":
    main()
