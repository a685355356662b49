"""What a diagnosis can go by, each from the same scenario: active and passive, one point of view and two, and all."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.diagnosis import recording
from exporter.diagnosis.judge import judge
from exporter.diagnosis.seen import Seen
from exporter.observations import Verdict
from exporter.settings_file import load
from exporter.wire.reading_files import connections_in, two_sides
from tests.netlab.lab import NetLab
from tests.netlab.world import GOOD_TOKEN

#: Kinds of evidence, in the order of the report's columns.
ONE, TWO, TAP, SIDES, ALL = "one vantage", "two vantages", "one tap", "both sides", "all"
_CURL = "curl -s -o /dev/null --max-time 8 --cacert {trust}"
_TOKEN = f"--user someone@outlook.com --oauth2-bearer {GOOD_TOKEN}"
#: What clients do meanwhile, and the targets at which it shows.
CLIENTS = {
    "sign_in_work": f"{_CURL} https://login.microsoftonline.com/common/oauth2/v2.0/token",
    "sign_in_personal": f"{_CURL} https://login.live.com/",
    "outlook_web": f"{_CURL} https://outlook.office.com/",
    "imap": f"{_CURL} imaps://imap-mail.outlook.com/INBOX {_TOKEN}",
    "imap_office365": f"{_CURL} imaps://outlook.office365.com/INBOX {_TOKEN}",
    "pop": f"{_CURL} pop3s://pop-mail.outlook.com/ {_TOKEN}",
    "smtp": f"{_CURL} --ssl smtp://smtp-mail.outlook.com:587/ --mail-from a@b.example --mail-rcpt c@d.example "
    f"-T /etc/hostname {_TOKEN}",
}


@dataclass(frozen=True, slots=True)
class Found:
    """Verdicts from one kind of evidence. `seconds`: from the first packet to the last verdict; None: not timed."""

    verdicts: tuple[Verdict, ...]
    seconds: float | None = None


def gather(lab: NetLab) -> dict[str, Found]:
    """The scenario that is up, looked at in every way."""
    found = {}
    with captured(lab) as (inside, outside):
        for command in CLIENTS.values():
            lab.run("client", "bash", "-c", command.format(trust=lab.directory / "trust.pem"), timeout=20)
    settings = load(None, {})
    tapped, _ = connections_in([inside], settings)
    compared, _ = two_sides(inside, outside, settings)
    found[TAP] = _judged(Seen(connections=tuple(tapped)))
    found[SIDES] = _judged(Seen(connections=tuple(compared), two_sided=True))
    found[ONE], _ = _active(lab, "clients")
    found[TWO], seen = _active(lab)
    found[ALL] = _judged(replace(seen, connections=tuple(compared), two_sided=True))
    return found


def _active(lab: NetLab, *vantages: str) -> tuple[Found, Seen]:
    """`diagnose` at the gateway, every target of the catalogue."""
    record = lab.directory / "round.jsonl"
    configuration = lab.configuration(*vantages)
    began = time.monotonic()
    lab.product("diagnose", "--config", str(configuration), "--json", "--record", str(record))
    seconds = time.monotonic() - began
    seen = recording.read(record)
    return Found(_judged(seen).verdicts, seconds), seen


def _judged(seen: Seen) -> Found:
    return Found(tuple(each.verdict for each in judge(seen)))


@contextmanager
def captured(lab: NetLab) -> Iterator[tuple[Path, Path]]:
    """Both sides of the gateway, by tcpdump, while the block runs."""
    files = lab.directory / "inside.pcap", lab.directory / "outside.pcap"
    children = []
    for device, file in zip(("in0", "out0"), files, strict=True):
        words = ["tcpdump", "-i", device, "-U", "--immediate-mode", "-Z", "root", "-w", str(file)]
        child = subprocess.Popen(lab.network.command("gateway", *words), stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        while "listening on" not in child.stderr.readline():
            pass
        children.append(child)
    try:
        yield files
        time.sleep(0.3)  # the last segments of connections that are being closed
    finally:
        for child in children:
            child.terminate()
            child.communicate(timeout=10)
