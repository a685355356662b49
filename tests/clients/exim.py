"""Exim (GnuTLS) and OpenSMTPD as submission servers: passwords of their own, Exim a token as well."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from tests.clients.place import USER, Place
from tests.clients.tls_policy import PRIORITIES
from tests.clients.truth import Attempt, Truth
from tests.clients.unpacked import unpacked
from tests.real.certificates import Files
from tests.real.process import free_ports, running, server_directory

PASSWORD = "Winter-2019-Rome"
TOKEN = "EwC" + "wA4kQ7ZsT1mXb9vLhYc2" * 50

_EXIM = """\
primary_hostname = submission.example.org
spool_directory = {directory}/spool
log_file_path = {directory}/%slog
pid_file_path = {directory}/pid
exim_user = Debian-exim
exim_group = Debian-exim
log_selector = +smtp_protocol_error +smtp_syntax_error +smtp_no_mail
daemon_smtp_ports = {starttls} : {implicit}
tls_on_connect_ports = {implicit}
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = {chain}
tls_privatekey = {key}
tls_require_ciphers = {priority}
auth_advertise_hosts = ${{if def:tls_in_cipher{{*}}}}
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = accepting
acl_smtp_data = accept
queue_only = true
keep_environment =
# a token's line is longer than what the RFC allows a command
begin acl
accepting:
  accept authenticated = *
  deny message = relay not permitted
begin routers
nowhere:
  driver = redirect
  data = :blackhole:
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
xoauth2:
  driver = plaintext
  public_name = XOAUTH2
  server_prompts = :
  server_condition = ${{if match{{$auth1}}{{Bearer {token}\\x01}}}}
  server_set_id = token
"""


def exim_attempts(directory: Path, source: str) -> Truth:
    """The reject log has each refusal; `A=` of an arrived message or of a connection without one an acceptance."""
    found = []
    for name in ("mainlog",):
        path = directory / name
        for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
            if f"[{source}]" not in line:
                continue
            if refused := re.search(r"(\w+) authenticator failed for", line):
                found.append(Attempt(_mechanism(refused[1]), AuthOutcome.REFUSED))
            elif accepted := re.search(r" A=(\w+)", line):
                found.append(Attempt(_mechanism(accepted[1]), AuthOutcome.ACCEPTED))
    return tuple(found)


def _mechanism(name: str) -> Mechanism:
    return Mechanism.TOKEN if name == "xoauth2" else Mechanism.PASSWORD


@contextmanager
def exim(certificate: Files, policy: str) -> Iterator[list[Place]]:
    """Submission with STARTTLS, and with implicit TLS."""
    tree = unpacked("exim")
    with server_directory("exim") as directory:
        directory.chmod(0o777)
        starttls, implicit = free_ports(2)
        key = directory / "key.pem"
        key.write_bytes(certificate.key.read_bytes())
        key.chmod(0o644)
        configuration = directory / "exim.conf"
        configuration.write_text(
            _EXIM.format(
                directory=directory, starttls=starttls, implicit=implicit, chain=certificate.chain, key=key, user=USER,
                password=PASSWORD, token=TOKEN, priority=PRIORITIES[policy],
            )
        )  # fmt: skip
        command = [tree / "usr/sbin/exim4", "-bdf", "-C", configuration]
        with running(command, directory, ports=(starttls, implicit)):
            yield [
                Place(
                    server="exim", protocol=Protocol.SMTP, port=port, starttls=begins_clear, tls=policy,
                    truth=lambda source: exim_attempts(directory, source),
                    secrets={Mechanism.PASSWORD: PASSWORD, Mechanism.TOKEN: TOKEN},
                )
                for port, begins_clear in ((starttls, True), (implicit, False))
            ]  # fmt: skip
