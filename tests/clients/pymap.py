"""pymap, an IMAP server in Python, held out of the making of inference: STARTTLS, passwords, its own words."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from tests.clients.place import Place
from tests.clients.tls_policy import openssl_file
from tests.clients.truth import Attempt, Truth
from tests.clients.unpacked import CACHE
from tests.real.certificates import Files
from tests.real.process import free_ports, running, server_directory

USER, PASSWORD = "demouser", "demopass"


def attempts(log: Path, source: str) -> Truth:
    """Its debugging log has the conversation of each connection, credentials left out."""
    lines = log.read_text(errors="replace").splitlines()
    names = {found[1] for line in lines if (found := re.search(rf"imap:(\w+) \+\+\+\| .*peername='\[{source}\]", line))}
    told = []
    tag = None
    for line in lines:
        found = re.search(r"imap:(\w+) (-->|<--)\| (\S+) (\S+)", line)
        if found is None or found[1] not in names:
            continue
        if found[2] == "-->" and found[4].upper() in ("LOGIN", "AUTHENTICATE"):
            tag = found[3]
        elif found[2] == "<--" and found[3] == tag and found[4] in ("OK", "NO", "BAD"):
            outcome = AuthOutcome.ACCEPTED if found[4] == "OK" else AuthOutcome.REFUSED
            told.append(Attempt(Mechanism.PASSWORD, outcome))
            tag = None
    return tuple(told)


def _program() -> Path:
    environment = CACHE / "pymap"
    if not environment.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=120)
        subprocess.run([environment / "bin/pip", "install", "-q", "pymap==0.36.7"], check=True, timeout=300)
    return environment / "bin/pymap"


@contextmanager
def pymap(certificate: Files, policy: str) -> Iterator[list[Place]]:
    """IMAP with STARTTLS."""
    with server_directory("pymap") as directory:
        (port,) = free_ports(1)
        os.environ["OPENSSL_CONF"] = str(openssl_file(directory, policy))
        command = [
            _program(), "--debug", "--host", "127.0.0.1", "--port", port, "--cert", certificate.chain, "--key", certificate.key,
            "dict", "--demo-data",
        ]  # fmt: skip
        try:
            with running(command, directory, ports=(port,)):
                os.environ.pop("OPENSSL_CONF")
                yield [
                    Place(
                        server="pymap", protocol=Protocol.IMAP, port=port, starttls=True, tls=policy, user=USER,
                        truth=lambda source: attempts(directory / "stdout.log", source),
                        secrets={Mechanism.PASSWORD: PASSWORD},
                    )
                ]  # fmt: skip
        finally:
            os.environ.pop("OPENSSL_CONF", None)
