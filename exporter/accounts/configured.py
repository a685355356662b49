"""From a validated configuration to accounts that can be tried: their secrets read, their caches named.

Vantage processes are forked before this: no secret is in them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from exporter.accounts.attempt import mechanism_of
from exporter.accounts.authority import grant_of, has_tokens
from exporter.accounts.belonging import Belonging
from exporter.accounts.msal_bridge import Credentials
from exporter.accounts.password_guard import PasswordGuard
from exporter.accounts.token_file import KEY_CREDENTIAL, TokenFile, TokenFileError, default_path
from exporter.accounts.tokens import TokenSource
from exporter.catalogue import Target
from exporter.metrics.account_tally import AccountPlan
from exporter.probe.walk import Tools
from exporter.secret_files import Secret, SecretFileError, locate, read_key, read_secret
from exporter.settings import AccountSettings, Settings
from exporter.settings_errors import ConfigurationError
from exporter.vocabulary import AccountKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account ready to be tried: `tokens`, or `password` with its `guard`, by its kind.

    `credential_expires`: of its certificate.
    """

    settings: AccountSettings
    targets: Mapping[str, Target]
    vantages: tuple[str, ...]
    tokens: TokenSource | None = None
    password: Secret | None = None
    guard: PasswordGuard | None = None
    credential_expires: datetime | None = None

    @property
    def name(self) -> str:
        return self.settings.name

    def same_as(self, other: "Account") -> bool:
        """Whether nothing of it has changed: neither its configuration nor its secret."""
        mine, others = self._belonging, other._belonging
        return self.settings == other.settings and mine is not None and others is not None and mine.same_as(others)

    @property
    def _belonging(self) -> Belonging | None:
        if self.guard is not None:
            return self.guard.belonging
        return None if self.tokens is None else self.tokens.belonging

    def plan(self) -> AccountPlan:
        """What its metrics are prepared for."""
        return AccountPlan(
            name=self.name,
            kind=self.settings.kind,
            mechanism=mechanism_of(self.settings),
            targets=tuple(self.targets),
            vantages=self.vantages,
            grants=(grant_of(self.settings),) if has_tokens(self.settings) else (),
        )


def make_accounts(
    settings: Settings,
    env: Mapping[str, str],
    tools: Tools,
    vantages: Sequence[str],
    skew: Callable[[], float] = lambda: 0.0,
) -> list[Account]:
    """The configured accounts. Raises ConfigurationError naming each whose secret can't be had, and why."""
    accounts, problems = [], []
    for index, own in enumerate(settings.accounts):
        try:
            accounts.append(_account(settings, own, env, tools, vantages, skew))
        except _NotThere as problem:
            problems.append(f"accounts[{index}].{problem}")
    if problems:
        raise ConfigurationError(problems)
    return accounts


def token_file(own: AccountSettings, env: Mapping[str, str]) -> TokenFile:
    """Where an account's tokens are kept. Raises ConfigurationError where the key that encrypts them is unusable."""
    key = None
    if env.get("CREDENTIALS_DIRECTORY") and (Path(env["CREDENTIALS_DIRECTORY"]) / KEY_CREDENTIAL).exists():
        try:
            key = read_key(locate(KEY_CREDENTIAL, env))
        except SecretFileError as error:
            raise ConfigurationError([f"the credential {KEY_CREDENTIAL}: {error}"]) from None
    try:
        return TokenFile(own.token_cache or default_path(own.name, env), own.name, key)
    except TokenFileError as error:
        raise ConfigurationError([str(error)]) from None


def certificate_expiry(own: AccountSettings, env: Mapping[str, str], index: int) -> datetime | None:
    """When an account's certificate ends; None where it has none. Raises ConfigurationError."""
    try:
        certificate = _secret("certificate_file", own.certificate_file, env, multiline=True)
        return None if certificate is None else _expiry(certificate)
    except _NotThere as problem:
        raise ConfigurationError([f"accounts[{index}].{problem}"]) from None


class _NotThere(Exception):
    """A secret that can't be had; the message begins with the key that names it."""


def _account(
    settings: Settings,
    own: AccountSettings,
    env: Mapping[str, str],
    tools: Tools,
    vantages: Sequence[str],
    skew: Callable[[], float],
) -> Account:
    seen_from = tuple(name for name in vantages if "all" in own.vantages or name in own.vantages)
    targets = settings.account_targets(own)
    if own.kind is AccountKind.APP_PASSWORD:
        password = _secret("password_file", own.password_file, env)
        guard = PasswordGuard(token_file(own, env), Belonging(own.username, password))
        return Account(settings=own, targets=targets, vantages=seen_from, password=password, guard=guard)
    credentials = Credentials(
        client_secret=_secret("client_secret_file", own.client_secret_file, env),
        certificate=_secret("certificate_file", own.certificate_file, env, multiline=True),
        private_key=_secret("private_key_file", own.private_key_file, env, multiline=True),
    )
    source = TokenSource(own, token_file(own, env), credentials, tools, skew)
    expires = None if credentials.certificate is None else _expiry(credentials.certificate)
    return Account(settings=own, targets=targets, vantages=seen_from, tokens=source, credential_expires=expires)


def _secret(key: str, reference: str | None, env: Mapping[str, str], *, multiline: bool = False) -> Secret | None:
    if reference is None:
        return None
    try:
        return read_secret(locate(reference, env), multiline=multiline)
    except SecretFileError as error:
        raise _NotThere(f"{key}: {error}") from None


def _expiry(certificate: Secret) -> datetime:
    try:
        return x509.load_pem_x509_certificate(certificate.reveal_bytes()).not_valid_after_utc.astimezone(UTC)
    except ValueError:
        raise _NotThere("certificate_file: the file is no certificate in PEM") from None
