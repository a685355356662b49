"""A small selection of clients and servers, run now: what was recorded is still what they say."""

import asyncio
import itertools
from pathlib import Path

import pytest

from exporter.vocabulary import Mechanism, Protocol
from tests.clients.record_corpus import dovecot_places, microsoft_places, postfix_places
from tests.clients.session import Run, Session, record
from tests.conftest import require_program
from tests.real.certificates import make_authority
from tests.real.process import need_root
from tests.wire.inference.judging import Mark, is_decidable, mark, told, truth

pytestmark = [pytest.mark.root, pytest.mark.slow]

_PASSWORD, _TOKEN = Mechanism.PASSWORD, Mechanism.TOKEN
RUNS = {
    Protocol.IMAP: [("curl", ()), ("imaplib", ("select",)), ("mbsync", ()), ("fetchmail", ()), ("literal", ()), ("thunderbird", ())],
    Protocol.POP: [("curl", ()), ("poplib", ("list",)), ("fetchmail", ()), ("pop_user", ())],
    Protocol.SMTP: [("curl", ()), ("smtplib", ("send",)), ("msmtp", ("plain",)), ("smtp_login", ())],
}  # fmt: skip
#: These know passwords only, or need a mechanism of the job's own.
NO_TOKEN = frozenset({"mbsync", "fetchmail", "literal", "msmtp"})
AT_ONCE = 6


def chosen(protocol: Protocol) -> list[Run]:
    return [
        Run(client=client, mechanism=mechanism, right=right, options=options)
        for (client, options), mechanism, right in itertools.product(RUNS[protocol], (_PASSWORD, _TOKEN), (True, False))
        if not (mechanism is _TOKEN and client in NO_TOKEN)
    ]


async def sessions(make, policy: str, directory: Path) -> list[Session]:
    authority = make_authority(directory / "pki")
    (directory / "root.pem").write_bytes(authority.root.pem)
    numbers, limit = itertools.count(), asyncio.Semaphore(AT_ONCE)

    async def one(place, run: Run) -> list[Session]:
        async with limit:
            return await record(place, run, directory / f"run{next(numbers)}")

    async with make(authority, policy) as places:
        runs = [one(place, run) for place in places for run in chosen(place.protocol)]
        return [session for found in await asyncio.gather(*runs) for session in found]


@pytest.mark.parametrize(
    ("make", "policy", "at_least"),
    [(dovecot_places, "1.3", 50), (postfix_places, "1.2-chacha", 14), (microsoft_places("2026"), "1.2-gcm", 60)],
    ids=["dovecot", "postfix", "microsoft"],
)
async def test_what_was_recorded_is_still_so(make, policy: str, at_least: int, tmp_path: Path):
    need_root("dovecot")
    for program, package in (("curl", "curl"), ("mbsync", "isync"), ("fetchmail", "fetchmail"), ("msmtp", "msmtp")):
        require_program(program, package)
    tmp_path.chmod(0o755)  # noqa: ASYNC240

    found = [each for each in await sessions(make, policy, tmp_path) if is_decidable(each)]

    marks = [mark(told(each), truth(each)) for each in found]
    wrong = [
        (each.client, each.flavour, truth(each), told(each))
        for each in found
        if mark(told(each), truth(each)) is Mark.WRONG
    ]
    assert wrong == []
    assert len(found) >= at_least
    assert marks.count(Mark.RIGHT) >= 0.9 * len(marks)
