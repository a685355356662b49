"""blackbox_exporter beside us on the same targets: both agree on up, TLS version and expiry."""

from datetime import datetime

import pytest

from exporter.vocabulary import Outcome
from tests.real.blackbox import Blackbox
from tests.real.certificates import Authority
from tests.real.dovecot import Dovecot
from tests.real.nginx import Nginx
from tests.real.postfix import Postfix
from tests.real.probing import Line, Run, probe
from tests.real.process import free_ports

#: Target → blackbox_exporter's module.
MODULES = {
    "imap": "imap_tls",
    "imap_starttls": "imap_starttls",
    "pop": "pop_tls",
    "smtp": "smtp_starttls",
    "web": "tls",
    "tls12": "tls",
    "expired": "tls",
    "wrong_name": "tls",
    "self_signed": "tls",
    "incomplete": "tls",
    "stripped": "smtp_starttls",
    "closed": "tls",
}
#: What blackbox_exporter calls down: we speak other words, and it knows only up and down.
DOWN = {"expired", "wrong_name", "self_signed", "incomplete", "stripped", "closed"}


@pytest.fixture(scope="module")
def ports(dovecot: Dovecot, postfix: Postfix, nginx: Nginx) -> dict[str, int]:
    return {
        "imap": dovecot.imap,
        "imap_starttls": dovecot.imap_starttls,
        "pop": dovecot.pop,
        "smtp": postfix.submission,
        "stripped": postfix.plain,
        "web": nginx.ports["healthy"],
        "closed": free_ports(1)[0],
    } | {name: nginx.ports[name] for name in ("tls12", "expired", "wrong_name", "self_signed", "incomplete")}


@pytest.fixture(scope="module")
def ours(ports: dict[str, int], authority: Authority) -> Run:
    kinds = {
        "imap": ("imap", "implicit"),
        "imap_starttls": ("imap", "starttls"),
        "pop": ("pop", "implicit"),
        "smtp": ("smtp", "starttls"),
        "stripped": ("smtp", "starttls"),
    }
    targets: list[dict[str, object]] = []
    for name, port in ports.items():
        protocol, tls = kinds.get(name, ("https", None))
        target = {"name": f"x_{name}", "protocol": protocol, "host": "localhost", "port": port}
        targets.append(target | ({"tls": tls} if tls else {}))
    return probe(targets, root_file=authority.root_file)


def _is_up(line: Line) -> bool:
    """blackbox_exporter's notion: connected, secured and greeted; it knows no words of Microsoft's."""
    path = {phase: outcome for phase, outcome in line.outcomes().items() if phase != "auth"}
    return all(outcome in (Outcome.OK, Outcome.UNRECOGNIZED) for outcome in path.values())


@pytest.mark.parametrize(("target", "module"), MODULES.items())
def test_both_agree(target: str, module: str, ours: Run, ports: dict[str, int], blackbox: Blackbox):
    theirs = blackbox.probe(module, f"localhost:{ports[target]}")
    line = ours[f"x_{target}"]
    assert theirs.up is (target not in DOWN)
    assert _is_up(line) is theirs.up
    if theirs.up:
        assert line["tls"]["version"].replace("TLSv", "TLS ") == theirs.tls_version
        assert _earliest_expiry(line) == theirs.expiry


def _earliest_expiry(line: Line) -> float:
    """Unix seconds; blackbox_exporter reports the earliest of the chain, which here is the leaf's."""
    ends = [datetime.fromisoformat(each["not_after"]).timestamp() for each in line["tls"]["chain"]]
    assert ends[0] == min(ends)
    return ends[0]
