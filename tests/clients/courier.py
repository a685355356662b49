"""Courier IMAP and POP (couriertls, GnuTLS): a maker whose replies to LOGIN bring no capabilities."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from tests.clients.place import USER, Place
from tests.clients.tls_policy import PRIORITIES
from tests.clients.truth import Attempt, Truth
from tests.clients.unpacked import inside, quoted, unpacked
from tests.real.certificates import Files
from tests.real.process import free_ports, running, server_directory

PASSWORD = "Winter-2019-Rome"
_NOBODY = 65_534

_SCRIPT = """
export LD_LIBRARY_PATH={tree}/lib/x86_64-linux-gnu
mkdir -p /run/courier/authdaemon
printf 'authmodulelist="authuserdb"\\nauthmodulelistorig="authuserdb"\\ndaemons=6\\nauthdaemonvar=/run/courier/authdaemon\\nDEBUG_LOGIN=0\\n' >/etc/courier/authdaemonrc
printf '%s\\tuid=65534|gid=65534|home={directory}/home|mail={directory}/home/Maildir|systempw=%s\\n' {user} {hashed} >/etc/courier/userdb
chmod 600 /etc/courier/userdb
/usr/sbin/makeuserdb
/usr/lib/courier/courier-authlib/authdaemond &
set -a
. /etc/courier/imapd
. /etc/courier/imapd-ssl
. /etc/courier/pop3d
TLS_CERTFILE={pem} TLS_PRIORITY={priority} TLS_CACHEFILE= TLS_DHPARAMS= TLS_TRUSTCERTS= TLS_VERIFYPEER=NONE
IMAP_CAPABILITY="$IMAP_CAPABILITY AUTH=PLAIN" POP3AUTH_TLS="PLAIN LOGIN"
MAILDIRPATH=Maildir IMAP_TLS=1 POP3_TLS=1 POP3_STARTTLS=NO POP3_TLS_REQUIRED=0 IMAP_STARTTLS=NO
tcpd="/usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=60 -maxperip=60 -nodnslookup -noidentlookup"
tls="/usr/bin/couriertls -server -tcpd -user=nobody"
$tcpd {imap} $tls /usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir &
$tcpd {pop} $tls /usr/lib/courier/courier/courierpop3login /usr/lib/courier/courier/courierpop3d Maildir &
wait
"""


def attempts(log: Path, source: str) -> Truth:
    """Courier logs LOGIN and LOGIN FAILED with the address they came from."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if f"127.0.0.1:{source}]" not in line and f"{source}]" not in line:
            continue
        if "LOGIN FAILED" in line:
            found.append(Attempt(Mechanism.PASSWORD, AuthOutcome.REFUSED))
        elif re.search(r"\bLOGIN,", line):
            found.append(Attempt(Mechanism.PASSWORD, AuthOutcome.ACCEPTED))
    return tuple(found)


@contextmanager
def courier(certificate: Files, policy: str) -> Iterator[list[Place]]:
    """IMAP and POP with implicit TLS."""
    tree = unpacked("courier")
    with server_directory("courier") as directory:
        imap, pop = free_ports(2)
        pem = directory / "both.pem"
        pem.write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
        pem.chmod(0o644)
        _maildir(directory)
        hashed = subprocess.run(
            ["openssl", "passwd", "-1", PASSWORD], capture_output=True, text=True, check=True
        ).stdout
        script = _SCRIPT.format(
            tree=tree, directory=directory, user=quoted(USER), hashed=quoted(hashed.strip()), pem=pem, imap=imap, pop=pop,
            priority=quoted(PRIORITIES[policy]),
        )  # fmt: skip
        with running(inside(tree, directory, script), directory, ports=(imap, pop)):
            yield [
                Place(
                    server="courier", protocol=protocol, port=port, starttls=False, tls=policy,
                    truth=lambda source: attempts(directory / "stdout.log", source),
                    secrets={Mechanism.PASSWORD: PASSWORD},
                )
                for protocol, port in ((Protocol.IMAP, imap), (Protocol.POP, pop))
            ]  # fmt: skip


def _maildir(directory: Path) -> None:
    home = directory / "home"
    for each in ("cur", "new", "tmp"):
        (home / "Maildir" / each).mkdir(parents=True)
    (home / "Maildir/new/1.1.host").write_text("Subject: one\n\nOne line.\n")
    for path in (home, *home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
        os.chown(path, _NOBODY, _NOBODY)
