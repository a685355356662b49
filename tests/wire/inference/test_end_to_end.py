"""Clients, Microsoft-worded servers and tcpdump on loopback; `inspect` then says who signed in how."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.vocabulary import Mechanism, Protocol
from tests.clients import scripted, tls_policy
from tests.clients.job import Job
from tests.clients.microsoft import Words, microsoft
from tests.conftest import require_program
from tests.real.certificates import make_authority

pytestmark = pytest.mark.root

#: Nobody else's address: the real ports are needed, for they tell the protocol.
ADDRESS = "127.93.58.71"
PORTS = {Protocol.IMAP: 993, Protocol.POP: 995, Protocol.SMTP: 587}
TOKEN, PASSWORD, USER = "EwB" + "a1B2" * 300, "Winter-2019-Rome", "someone@outlook.com"

#: Protocol, script, what is presented, whether it is right, and what `inspect` shall say.
CASES = [
    (Protocol.IMAP, "outlook", Mechanism.TOKEN, True, ("token", "accepted")),
    (Protocol.IMAP, "outlook", Mechanism.TOKEN, False, ("token", "refused")),
    (Protocol.IMAP, "mailkit", Mechanism.PASSWORD, False, ("password", "refused")),
    (Protocol.IMAP, "reads_and_leaves", Mechanism.PASSWORD, False, ("unknown", "abandoned")),
    (Protocol.POP, "pop_user", Mechanism.TOKEN, True, ("token", "accepted")),
    (Protocol.POP, "pop_user", Mechanism.PASSWORD, False, ("password", "refused")),
    (Protocol.SMTP, "smtp_login", Mechanism.TOKEN, True, ("token", "accepted")),
    (Protocol.SMTP, "smtp_login", Mechanism.PASSWORD, False, ("password", "refused")),
    (Protocol.SMTP, "smtp_leaves", Mechanism.PASSWORD, False, ("unknown", "abandoned")),
]


@asynccontextmanager
async def capture(file: Path) -> AsyncIterator[None]:
    """tcpdump on loopback while the block runs; every packet is in the file at its end."""
    command = [
        require_program("tcpdump"),
        "-i",
        "lo",
        "--immediate-mode",
        "-U",
        "-s",
        "0",
        "-w",
        str(file),
        "host",
        ADDRESS,
    ]
    child = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert child.stderr is not None
    while b"listening on" not in (line := await child.stderr.readline()):
        assert line, "tcpdump didn't start"
    yield
    await asyncio.sleep(0.3)  # nothing tells when the last packet was written
    child.terminate()
    await child.wait()


@asynccontextmanager
async def servers(tmp_path: Path) -> AsyncIterator[None]:
    context = tls_policy.context("1.3", make_authority(tmp_path / "pki").leaf("microsoft"))
    words = Words(year="2026", token=TOKEN, delay=0.05)
    async with (
        microsoft(Protocol.IMAP, words, context, starttls=False, address=(ADDRESS, 993)),
        microsoft(Protocol.POP, words, context, starttls=False, address=(ADDRESS, 995)),
        microsoft(Protocol.SMTP, words, context, starttls=True, address=(ADDRESS, 587)),
    ):
        yield


async def test_inspect_tells_who_signed_in_how(tmp_path: Path):
    file = tmp_path / "lo.pcap"
    async with servers(tmp_path), capture(file):
        for protocol, name, mechanism, right, _ in CASES:
            secret = TOKEN if mechanism is Mechanism.TOKEN else PASSWORD
            job = Job(
                protocol=protocol, port=PORTS[protocol], starttls=protocol is Protocol.SMTP, user=USER, mechanism=mechanism,
                secret=secret if right else secret[::-1], directory=tmp_path, host=ADDRESS, server_name="outlook.office365.com",
            )  # fmt: skip
            await asyncio.to_thread(scripted.run, job, scripted.SCRIPTS[protocol][name](job))

    command = [sys.executable, "-m", "exporter", "inspect", str(file), "--json"]
    inspected = await asyncio.to_thread(lambda: subprocess.run(command, capture_output=True, text=True, timeout=60))
    assert inspected.returncode == 0, inspected.stderr

    lines = [json.loads(line) for line in inspected.stdout.splitlines()]
    lines.sort(key=lambda line: line["start"])
    said = [(line["auth"]["mechanism"], line["auth"]["outcome"]) for line in lines]
    assert said == [expected for *_, expected in CASES]
    assert all(
        0.03 < line["auth"]["seconds"] < 5 for line in lines if line["auth"]["outcome"] in ("accepted", "refused")
    )
    assert TOKEN not in inspected.stdout
    assert PASSWORD not in inspected.stdout
