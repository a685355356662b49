"""Which client runs against which place, and how: the matrix of the corpus, as data."""

from collections.abc import Iterator

from exporter.vocabulary import Mechanism, Protocol
from tests.clients import scripted
from tests.clients.place import Place
from tests.clients.session import Run

_PASSWORD, _TOKEN = Mechanism.PASSWORD, Mechanism.TOKEN

#: Options by protocol, client and mechanism: each tuple is one run with the right secret and one with a wrong one.
OPTIONS: dict[Protocol, dict[str, dict[Mechanism, list[tuple[str, ...]]]]] = {
    Protocol.IMAP: {
        "curl": {
            _PASSWORD: [(), ("--sasl-ir",), ("--login-options", "AUTH=LOGIN"), ("/INBOX;MAILINDEX=1",)],
            _TOKEN: [("--login-options", "AUTH=XOAUTH2"), ("--sasl-ir", "--login-options", "AUTH=XOAUTH2"), ("--sasl-ir", "/INBOX")],
        },
        "imaplib": {_PASSWORD: [(), ("plain",), ("select",), ("noop",), ("stubborn",), ("hang up",)], _TOKEN: [(), ("select",), ("hang up",)]},
        "mbsync": {_PASSWORD: [(), ("PLAIN",), ("*",)]},
        "fetchmail": {_PASSWORD: [(), ("auth password",)]},
        "neomutt": {_PASSWORD: [(), ("login",)], _TOKEN: [()]},
        "mutt": {_PASSWORD: [()], _TOKEN: [()]},
        "offlineimap": {_PASSWORD: [(), ("PLAIN",)]},
        "getmail": {_PASSWORD: [()], _TOKEN: [()]},
        "imapflow": {_PASSWORD: [()], _TOKEN: [()]},
        "javamail": {_PASSWORD: [()], _TOKEN: [()]},
        "s-nail": {_PASSWORD: [()], _TOKEN: [()]},
    },
    Protocol.POP: {
        "curl": {_PASSWORD: [(), ("/1",), ("--sasl-ir",)], _TOKEN: [("--login-options", "AUTH=XOAUTH2"), ("/1",)]},
        "poplib": {_PASSWORD: [(), ("list",), ("stubborn",), ("capa", "list")], _TOKEN: [(), ("list",)]},
        "fetchmail": {_PASSWORD: [(), ("auth password",)]},
        "mpop": {_PASSWORD: [(), ("plain",)], _TOKEN: [()]},
        "neomutt": {_PASSWORD: [()], _TOKEN: [()]},
        "getmail": {_PASSWORD: [()]},
        "javamail": {_PASSWORD: [()], _TOKEN: [()]},
        "s-nail": {_PASSWORD: [()]},
    },
    Protocol.SMTP: {
        "curl": {
            _PASSWORD: [(), ("--sasl-ir",), ("--login-options", "AUTH=LOGIN")],
            _TOKEN: [("--login-options", "AUTH=XOAUTH2"), ("--sasl-ir", "--login-options", "AUTH=XOAUTH2")],
        },
        "smtplib": {_PASSWORD: [(), ("send",), ("anyway",), ("probe",)], _TOKEN: [(), ("send",), ("anyway",), ("two steps",)]},
        "msmtp": {_PASSWORD: [("plain",), ("login",), ("on",)], _TOKEN: [("xoauth2",), ("oauthbearer",)]},
        "swaks": {_PASSWORD: [("LOGIN",), ("PLAIN",), ("LOGIN", "--quit-after", "AUTH")]},
        "neomutt": {_PASSWORD: [()], _TOKEN: [()]},
        "mutt": {_PASSWORD: [()], _TOKEN: [()]},
        "nodemailer": {_PASSWORD: [()], _TOKEN: [()]},
        "javamail": {_PASSWORD: [()], _TOKEN: [()]},
        "s-nail": {_PASSWORD: [(), ("login",)], _TOKEN: [()]},
    },
}  # fmt: skip


#: Scripts that say what a server doesn't understand, or that nobody has a reason for there.
_UNFIT: dict[str, tuple[str, ...]] = {
    "microsoft": ("bearer",),  # it offers XOAUTH2 only
    "courier": ("literal_plus", "early_id", "reads_and_hangs_up"),
    "cyrus": ("reads_and_hangs_up",),
    "dovecot": ("reads_and_hangs_up",),
    "pymap": ("reads_and_hangs_up",),
}


def runs(place: Place) -> Iterator[Run]:
    """All runs at a place; a token is presented only where the server knows what one is."""
    for mechanism in place.secrets:
        for right in (True, False):
            if right and mechanism in place.refusals_only:
                continue
            for client, options in _programs(place.protocol, mechanism):
                yield Run(client=client, mechanism=mechanism, right=right, options=options)
            for name in _scripts(place.protocol, mechanism, right):
                if name in _UNFIT.get("microsoft" if place.microsoft else place.server, ()):
                    continue
                yield Run(client=name, mechanism=mechanism, right=right, options=("right",) if right else ())


def _programs(protocol: Protocol, mechanism: Mechanism) -> Iterator[tuple[str, tuple[str, ...]]]:
    for client, by_mechanism in OPTIONS[protocol].items():
        for options in by_mechanism.get(mechanism, []):
            yield client, options


def _scripts(protocol: Protocol, mechanism: Mechanism, right: bool) -> Iterator[str]:
    unfit = scripted.PASSWORD_ONLY if mechanism is _TOKEN else scripted.TOKEN_ONLY
    unfit |= scripted.WRONG_ONLY if right else scripted.RIGHT_ONLY
    yield from (name for name in scripted.SCRIPTS[protocol] if name not in unfit)
