"""Cyrus IMAP and POP, held out of the making of inference: its words, and its capabilities behind LOGIN."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from tests.clients.place import Place
from tests.clients.truth import Attempt, Truth
from tests.clients.unpacked import inside, quoted, unpacked
from tests.real.certificates import Files
from tests.real.process import free_ports, running, server_directory

USER = "someone"
PASSWORD = "Winter-2019-Rome"
_TLS = {
    "1.3": ("tls1_3", "DEFAULT"),
    "1.2-gcm": ("tls1_2", "ECDHE+AESGCM"),
    "1.2-cbc": ("tls1_2", "ECDHE-ECDSA-AES128-SHA256"),
}

_IMAPD = """
configdirectory: /var/lib/cyrus
partition-default: /var/spool/cyrus/mail
defaultpartition: default
servername: imap.example.org
admins: cyrus
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN LOGIN
sasl_sasldb_path: /var/lib/cyrus/sasldb2
sasl_minimum_layer: 0
tls_server_cert: {chain}
tls_server_key: {key}
tls_versions: {version}
tls_ciphers: {ciphers}
autocreate_quota: 0
autocreate_post: yes
autocreate_inbox_folders: Sent
syslog_prefix: cyrus
unixhierarchysep: yes
"""

_SERVICES = """
START {{ recover cmd="ctl_cyrusdb -r" }}
SERVICES {{
  imaps cmd="imapd -s -U 30" listen="127.0.0.1:{imap}" prefork=1 maxchild=40
  pop3s cmd="pop3d -s -U 30" listen="127.0.0.1:{pop}" prefork=1 maxchild=40
}}
EVENTS {{ checkpoint cmd="ctl_cyrusdb -c" period=30 }}
"""

_SCRIPT = """
export LD_LIBRARY_PATH={tree}/lib/x86_64-linux-gnu PATH=/usr/lib/cyrus/bin:$PATH
echo 'cyrus:x:990:8:Cyrus:/var/lib/cyrus:/bin/sh' >>/etc/passwd
mount -t tmpfs none /var/lib
mount -t tmpfs none /var/spool
mkdir -p /var/lib/cyrus/{{db,socket,proc,log,msg,quota,user,sieve}} /var/lib/cyrus/db /var/lib/cyrus/socket /var/lib/cyrus/proc \
  /var/lib/cyrus/log /var/lib/cyrus/quota /var/lib/cyrus/user /var/lib/cyrus/rpm /var/spool/cyrus/mail /run/cyrus/socket /run/cyrus/lock /run/cyrus/proc
printf %s {password} | /usr/sbin/saslpasswd2 -p -c -f /var/lib/cyrus/sasldb2 -u imap.example.org {user}
cp {directory}/imapd.conf /etc/imapd.conf
cp {directory}/cyrus.conf /etc/cyrus.conf
chown -R 990:8 /var/lib/cyrus /var/spool/cyrus /run/cyrus
python3 {directory}/log.py {directory}/syslog.log &
sleep 0.5
exec /usr/lib/cyrus/bin/master -D
"""

#: A /dev of its own, so that its log socket is seen by nobody else.
_DEVICES = """
mount -t tmpfs none {directory}/dev
for each in null zero random urandom; do
  touch {directory}/dev/$each
  mount --bind /dev/$each {directory}/dev/$each
done
mount --rbind {directory}/dev /dev
"""

#: A syslog in five lines: Cyrus writes nowhere else.
_LOG = """\
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("/dev/log"); os.chmod("/dev/log", 0o666)
with open(sys.argv[1], "ab", buffering=0) as f:
    while True: f.write(s.recv(4096).rstrip(b"\\0\\n") + b"\\n")
"""


def attempts(log: Path, source: str) -> Truth:
    """Cyrus logs `login:` and `badlogin:` with the address."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if f"[{source}]" not in line:
            continue
        if "badlogin:" in line:
            found.append(Attempt(Mechanism.PASSWORD, AuthOutcome.REFUSED))
        elif re.search(r" login: ", line):
            found.append(Attempt(Mechanism.PASSWORD, AuthOutcome.ACCEPTED))
    return tuple(found)


@contextmanager
def cyrus(certificate: Files, policy: str) -> Iterator[list[Place]]:
    """IMAP and POP with implicit TLS."""
    tree = unpacked("cyrus")
    with server_directory("cyrus") as directory:
        imap, pop = free_ports(2)
        key = directory / "key.pem"
        key.write_bytes(certificate.key.read_bytes())
        key.chmod(0o644)
        version, ciphers = _TLS[policy]
        text = _IMAPD.format(chain=certificate.chain, key=key, version=version, ciphers=ciphers)
        (directory / "imapd.conf").write_text(text)
        (directory / "cyrus.conf").write_text(_SERVICES.format(imap=imap, pop=pop))
        (directory / "log.py").write_text(_LOG)
        (directory / "dev").mkdir()
        script = (_DEVICES + _SCRIPT).format(tree=tree, directory=directory, user=USER, password=quoted(PASSWORD))
        with running(inside(tree, directory, script), directory, ports=(imap, pop)):
            yield [
                Place(
                    server="cyrus", protocol=protocol, port=port, starttls=False, tls=policy, user=USER,
                    truth=lambda source: attempts(directory / "syslog.log", source),
                    secrets={Mechanism.PASSWORD: PASSWORD},
                )
                for protocol, port in ((Protocol.IMAP, imap), (Protocol.POP, pop))
            ]  # fmt: skip
