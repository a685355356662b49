"""Dovecot and Postfix as delivered, of a TLS policy, their logs read for what happened to each connection."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from tests.clients.place import USER, Place
from tests.clients.tls_policy import POLICIES, openssl_file
from tests.clients.truth import Attempt, Truth
from tests.conftest import require_program
from tests.real import dovecot as real_dovecot
from tests.real import postfix as real_postfix
from tests.real.certificates import Files
from tests.real.process import free_ports, running, server_directory

PASSWORD = real_dovecot.PASSWORD
_TOKENS = ("xoauth2", "oauthbearer")
#: Instead of the six seconds that the prober's tests want.
_DELAY = "auth_failure_delay = 1 secs"
_REFUSED = re.compile(r"auth: (?:Info|Error): (?P<driver>oauth2|static|xoauth2|oauthbearer|plain|login)\(")
_ACCEPTED = re.compile(r"(?:imap|pop3)-login: Info: Login: .*method=(?P<method>\w+),")


def attempts(log: Path, source: str) -> Truth:
    """What Dovecot's log says of the connection from `source`."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if f",{source}," not in line and f"rip={source}," not in line:
            continue
        if accepted := _ACCEPTED.search(line):
            token = accepted["method"].lower() in _TOKENS
            found.append(Attempt(Mechanism.TOKEN if token else Mechanism.PASSWORD, AuthOutcome.ACCEPTED))
        elif refused := _REFUSED.search(line):
            token = refused["driver"] in ("oauth2", *_TOKENS)
            found.append(Attempt(Mechanism.TOKEN if token else Mechanism.PASSWORD, AuthOutcome.REFUSED))
    return tuple(found)


def _key(directory: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    real_dovecot._write_key(directory / "keys/default/ES256/default", key)
    return key


@contextmanager
def dovecot(certificate: Files, policy: str) -> Iterator[tuple[list[Place], Path, str]]:
    """Its four places, the socket at which Postfix asks it, and a token that it takes."""
    binary = require_program("dovecot", "dovecot-imapd")
    with server_directory("dovecot") as directory:
        imap, imap_starttls, pop, pop_starttls = free_ports(4)
        key = _key(directory)
        (directory / "oauth2.conf").write_text(
            real_dovecot._OAUTH.format(directory=directory, issuer=real_dovecot._ISSUER)
        )
        mail = directory / "mail"
        mail.mkdir(mode=0o777)
        mail.chmod(0o777)
        text = real_dovecot._CONFIGURATION.format(
            directory=directory, greeting="Dovecot (Debian) ready.", chain=certificate.chain, key=certificate.key,
            delay=1, password=PASSWORD, imap=imap, imap_starttls=imap_starttls, pop=pop, pop_starttls=pop_starttls,
        )  # fmt: skip
        configuration = directory / "dovecot.conf"
        configuration.write_text(
            "import_environment = OPENSSL_CONF TZ\nmail_max_userip_connections = 0\n"
            f"ssl_cipher_list = {POLICIES[policy][1]}\n" + text
        )
        os.environ["OPENSSL_CONF"] = str(openssl_file(directory, policy))
        try:
            server = running(
                [binary, "-F", "-c", configuration], directory, ports=(imap, imap_starttls, pop, pop_starttls)
            )
            with server:
                del os.environ["OPENSSL_CONF"]
                running_dovecot = real_dovecot.Dovecot(
                    imap, imap_starttls, pop, pop_starttls, sasl_socket=directory / "postfix-auth", key=key
                )
                token = _long(running_dovecot)
                secrets = {Mechanism.PASSWORD: PASSWORD, Mechanism.TOKEN: token}
                log = directory / "dovecot.log"
                places = [
                    Place(
                        server="dovecot", protocol=protocol, port=port, starttls=starttls, tls=policy, user=USER,
                        truth=lambda source: attempts(log, source), secrets=secrets,
                    )
                    for protocol, port, starttls in (
                        (Protocol.IMAP, imap, False), (Protocol.IMAP, imap_starttls, True),
                        (Protocol.POP, pop, False), (Protocol.POP, pop_starttls, True),
                    )
                ]  # fmt: skip
                yield places, directory / "postfix-auth", token
        finally:
            os.environ.pop("OPENSSL_CONF", None)


def _long(server: real_dovecot.Dovecot) -> str:
    """A token of the length that real ones have: claims that nobody reads make it so."""
    from datetime import UTC, datetime, timedelta

    import jwt

    now = datetime.now(UTC)
    claims = {
        "iss": real_dovecot._ISSUER, "sub": USER, "iat": now - timedelta(hours=1), "exp": now + timedelta(hours=2),
        "roles": "x" * 700,
    }  # fmt: skip
    return jwt.encode(claims, server.key, algorithm="ES256", headers={"kid": "default"})


def postfix_attempts(directory: Path, source: str) -> Truth:
    """Postfix logs who is signed in only with a message: `debug_peer_list` shows its own replies as well."""
    found = []
    mechanism, challenged = Mechanism.UNKNOWN, False
    for line in (directory / "postfix.log").read_text(errors="replace").splitlines():
        if f"[{source}]" not in line:
            continue
        if begun := re.search(r"\]: AUTH (\S+)", line):
            mechanism = _mechanism(begun[1])
        elif answer := re.search(r"> \S+\]: (235|5\d\d|454) ", line):
            if mechanism is not Mechanism.UNKNOWN:
                outcome = AuthOutcome.ACCEPTED if answer[1] == "235" else AuthOutcome.REFUSED
                found.append(Attempt(mechanism, outcome))
            mechanism, challenged = Mechanism.UNKNOWN, False
        elif re.search(r"> \S+\]: 334 eyJ", line):  # JSON: the refusal, announced
            challenged = True
    if challenged:  # the client left without hearing the rest
        found.append(Attempt(mechanism, AuthOutcome.REFUSED))
    return tuple(found)


def _mechanism(name: str) -> Mechanism:
    return Mechanism.TOKEN if name.lower() in _TOKENS else Mechanism.PASSWORD


@contextmanager
def postfix(certificate: Files, sasl_socket: Path, token: str, policy: str) -> Iterator[list[Place]]:
    """Its places: submission with STARTTLS and with implicit TLS."""
    with server_directory("openssl") as directory:
        os.environ["OPENSSL_CONF"] = str(openssl_file(directory, policy))
        try:
            protocols = ">=TLSv1.2" if policy.startswith("1.3") else "TLSv1.2"
            master, main = real_postfix._MASTER, real_postfix._MAIN
            real_postfix._MASTER = master.replace(
                "smtpd_tls_wrappermode=yes", "smtpd_tls_wrappermode=yes -o line_length_limit=16384"
            )
            real_postfix._MAIN = main + (
                "import_environment = OPENSSL_CONF MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ\n"
                "smtpd_relay_restrictions = permit_sasl_authenticated, reject\nsmtpd_tls_loglevel = 0\nsmtpd_tls_ciphers = high\n"
                f"tls_high_cipherlist = {POLICIES[policy][1]}\n"
                f"smtpd_tls_protocols = {protocols}\nsmtpd_tls_mandatory_protocols = {protocols}\n"
                "smtpd_tls_mandatory_ciphers = high\n"
                "debug_peer_list = 127.0.0.0/8\ndebug_peer_level = 1\n"
            )
            with real_postfix.postfix(certificate, sasl_socket) as server:
                os.environ.pop("OPENSSL_CONF")
                secrets = {Mechanism.PASSWORD: PASSWORD, Mechanism.TOKEN: token}
                yield [
                    Place(
                        server="postfix", protocol=Protocol.SMTP, port=port, starttls=starttls, tls=policy, user=USER,
                        truth=lambda source: postfix_attempts(server.directory, source), secrets=secrets,
                    )
                    for port, starttls in ((server.submission, True), (server.implicit, False))
                ]  # fmt: skip
        finally:
            real_postfix._MASTER, real_postfix._MAIN = master, main
            os.environ.pop("OPENSSL_CONF", None)
