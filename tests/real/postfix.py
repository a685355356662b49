"""Postfix 3.7 on loopback: submission with STARTTLS, SASL asked of Dovecot's auth socket; nothing is ever delivered."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require_program
from tests.real.certificates import Files
from tests.real.process import free_ports, need_root, running, server_directory

HOST_NAME = "submission.example.org"

_MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/spool
data_directory = {directory}/data
maillog_file_prefixes = /tmp
maillog_file = {directory}/postfix.log
myhostname = {host_name}
mydestination =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
# Nothing here may need a name server: an appliance's test runs without one.
smtpd_peername_lookup = no
smtp_host_lookup = native
disable_dns_lookups = yes
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_tls_security_level = {security}
smtpd_tls_chain_files = {key}, {chain}
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl_socket}
smtpd_sasl_security_options = noanonymous
smtpd_delay_open_until_valid_rcpt = yes
smtpd_client_connection_count_limit = 0
"""

_MASTER = """\
127.0.0.1:{submission} inet n - n - - smtpd -o line_length_limit=16384
127.0.0.1:{plain} inet n - n - - smtpd -o smtpd_tls_security_level=none -o smtpd_tls_auth_only=no
127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
defer unix - - n - 0 bounce
bounce unix - - n - 0 bounce
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running Postfix: `submission` offers STARTTLS, `plain` never does, `implicit` begins with TLS (465).

    `implicit` has Postfix's own limit of 2,048 bytes a line, which a command with a whole token exceeds;
    `submission` takes the 12,288 of RFC 4954.
    """

    submission: int
    plain: int
    implicit: int
    directory: Path


@contextmanager
def postfix(certificate: Files, sasl_socket: Path) -> Iterator[Postfix]:
    """Postfix while it runs, with queue and configuration of its own."""
    binary = require_program("postfix", "postfix")
    need_root("postfix")
    with server_directory("postfix") as directory:
        submission, plain, implicit = free_ports(3)
        main = _MAIN.format(
            directory=directory,
            host_name=HOST_NAME,
            chain=certificate.chain,
            key=certificate.key,
            sasl_socket=sasl_socket,
            security="may",
        )
        master = _MASTER.format(submission=submission, plain=plain, implicit=implicit)
        with running(configured(binary, directory, main, master), directory, ports=(submission, plain, implicit)):
            yield Postfix(submission, plain, implicit, directory)


def configured(binary: str, directory: Path, main: str, master: str) -> list[str]:
    """Writes a configuration, with the directories that it names, and returns the command that runs it."""
    configuration = directory / "etc"
    for each in ("etc", "spool", "data"):
        (directory / each).mkdir()
    shutil.chown(directory / "data", "postfix")
    (configuration / "main.cf").write_text(main)
    (configuration / "master.cf").write_text(master)
    os.utime(configuration / "main.cf", (0, 0))  # written just now, Postfix would wait until nobody writes it any more
    # `check` makes the queue's directories. `start-fg` would leave our session, `master -d` stays where it is.
    subprocess.run([binary, "-c", configuration, "check"], check=True, timeout=10, stdin=subprocess.DEVNULL)
    return ["/usr/lib/postfix/sbin/master", "-d", "-c", str(configuration)]
