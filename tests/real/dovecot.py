"""Dovecot 2.3 or 2.4 on loopback: IMAP and POP with implicit TLS and STARTTLS; OAuth by local introspection, and PLAIN."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import require_program
from tests.real.certificates import Files
from tests.real.process import free_ports, need_root, running, server_directory

USER = "someone@example.org"
PASSWORD = "a-password-of-this-test-only"
GREETING = "Real Dovecot is up."
#: Dovecot holds every refusal back (its own default is 2 s, 15 s at most): longer than a phase's usual time-out of 5 s.
REFUSAL_DELAY = 6.0

_COMMON = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
auth_verbose = yes
login_greeting = {greeting}
listen = 127.0.0.1
ssl = yes
ssl_min_protocol = TLSv1.2
auth_failure_delay = {delay} secs
first_valid_uid = 1
default_vsz_limit = 256M
service anvil {{
  # The penalty grows with the failures of an address (2, 4, 8, 15 s), and all clients here share one.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  process_min_avail = 0
}}
service imap-login {{
  inet_listener imap {{
    port = {imap_starttls}
  }}
  inet_listener imaps {{
    port = {imap}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop_starttls}
  }}
  inet_listener pop3s {{
    port = {pop}
    ssl = yes
  }}
}}
service auth {{
  unix_listener {directory}/postfix-auth {{
    mode = 0666
  }}
}}
"""

#: Dovecot 2.3: Debian 12, Ubuntu 24.04.
_CONFIGURATION = (
    _COMMON
    + """\
protocols = imap pop3
ssl_cert = <{chain}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_mechanisms = plain login xoauth2 oauthbearer
mail_location = maildir:{directory}/mail/%u
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {directory}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={{PLAIN}}{password}
}}
userdb {{
  driver = static
  args = uid=dovecot gid=dovecot home={directory}/mail/%u
}}
"""
)
#: Dovecot 2.4, which names most of it anew: Debian 13, Ubuntu 26.04.
_CONFIGURATION_2_4 = (
    _COMMON
    + """\
protocols = imap pop3
ssl_server_cert_file = {chain}
ssl_server_key_file = {key}
auth_allow_cleartext = no
auth_mechanisms = plain login xoauth2 oauthbearer
mail_driver = maildir
mail_path = {directory}/mail/%{{user}}
oauth2 {{
  introspection_mode = local
  username_attribute = sub
  issuers = {issuer}
  oauth2_local_validation {{
    dict fs {{
      fs posix {{
        prefix = {directory}/keys/
      }}
    }}
  }}
}}
passdb oauth2 {{
  mechanisms_filter = xoauth2 oauthbearer
}}
passdb static {{
  mechanisms_filter = plain login
  password = {{PLAIN}}{password}
}}
userdb static {{
  fields {{
    uid = dovecot
    gid = dovecot
    home = {directory}/mail/%{{user}}
  }}
}}
"""
)

_OAUTH = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={directory}/keys/
username_attribute = sub
issuers = {issuer}
tokeninfo_url =
"""
_ISSUER = "https://identity.test/"


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A running Dovecot: its ports, the socket at which Postfix asks it, and the key its tokens are signed with."""

    imap: int
    imap_starttls: int
    pop: int
    pop_starttls: int
    sasl_socket: Path
    key: ec.EllipticCurvePrivateKey

    def token(self, *, user: str = USER, lifetime: timedelta = timedelta(minutes=10)) -> str:
        """An access token for `user`; Dovecot takes it unless `lifetime` is negative."""
        now = datetime.now(UTC)
        claims = {"iss": _ISSUER, "sub": user, "iat": now - timedelta(hours=1), "exp": now + lifetime}
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": "default"})


@contextmanager
def dovecot(certificate: Files) -> Iterator[Dovecot]:
    """Dovecot while it runs."""
    binary = require_program("dovecot", "dovecot-imapd")
    need_root("dovecot")
    with server_directory("dovecot") as directory:
        imap, imap_starttls, pop, pop_starttls = free_ports(4)
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(directory / "keys/default/ES256/default", key)
        (directory / "oauth2.conf").write_text(_OAUTH.format(directory=directory, issuer=_ISSUER))
        (directory / "mail").mkdir(mode=0o777)
        (directory / "mail").chmod(0o777)
        configuration = directory / "dovecot.conf"
        configuration.write_text(
            _template(binary).format(
                directory=directory,
                greeting=GREETING,
                chain=certificate.chain,
                key=certificate.key,
                delay=int(REFUSAL_DELAY),
                password=PASSWORD,
                issuer=_ISSUER,
                imap=imap,
                imap_starttls=imap_starttls,
                pop=pop,
                pop_starttls=pop_starttls,
            )
        )
        ports = (imap, imap_starttls, pop, pop_starttls)
        with running([binary, "-F", "-c", configuration], directory, ports=ports, stop=signal.SIGKILL):  # else 6 s
            yield Dovecot(*ports, sasl_socket=directory / "postfix-auth", key=key)


def _template(binary: str) -> str:
    """The configuration in this Dovecot's dialect; 2.4 wants its own version first."""
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[0]
    if version.startswith("2.3."):
        return _CONFIGURATION
    return f"dovecot_config_version = {version}\ndovecot_storage_version = {version}\n" + _CONFIGURATION_2_4


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    path.chmod(0o644)
