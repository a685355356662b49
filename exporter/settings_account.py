"""An account's part of the configuration. No secret stands in it, only where each secret is."""

from typing import Annotated

from pydantic import Field

from exporter.settings_fields import Authority, ConfigPath, Name, SecretReference, Section, Words
from exporter.vocabulary import AccountKind

#: Fields that only accounts of some kinds have.
FIELDS_OF_KIND = {
    AccountKind.OAUTH_PERSONAL: frozenset({"client_id", "authority", "token_cache"}),
    AccountKind.OAUTH_WORK: frozenset(
        {"client_id", "authority", "token_cache", "client_secret_file", "certificate_file", "private_key_file"}
    ),
    AccountKind.APP_PASSWORD: frozenset({"password_file"}),
}
KIND_FIELDS = frozenset().union(*FIELDS_OF_KIND.values())
REQUIRED_FIELDS = {
    AccountKind.OAUTH_PERSONAL: ("client_id",),
    AccountKind.OAUTH_WORK: ("client_id",),
    AccountKind.APP_PASSWORD: ("username", "password_file"),
}
#: Where an account signs in when it doesn't say. An app password is good for SMTP submission of work accounts alone.
DEFAULT_TARGETS = {
    AccountKind.OAUTH_PERSONAL: ("imap", "smtp", "pop"),
    AccountKind.OAUTH_WORK: ("imap_office365", "smtp_office365", "pop_office365"),
    AccountKind.APP_PASSWORD: ("smtp_office365",),
}
DEFAULT_AUTHORITIES = {
    AccountKind.OAUTH_PERSONAL: "https://login.microsoftonline.com/consumers",
    AccountKind.OAUTH_WORK: "https://login.microsoftonline.com/organizations",
}

_Text = Annotated[str, Field(min_length=1, max_length=320, pattern=r"^[^\s\x00-\x1f\x7f]+$")]


class AccountSettings(Section):
    """An account to sign in with. What its kind needs is checked with the whole configuration."""

    name: Name
    kind: AccountKind
    username: _Text | None = None
    client_id: _Text | None = None
    authority: Authority | None = None
    client_secret_file: SecretReference | None = None
    certificate_file: SecretReference | None = None
    private_key_file: SecretReference | None = None
    password_file: SecretReference | None = None
    token_cache: ConfigPath | None = None
    vantages: Words = ("all",)
    targets: Words | None = None
    allow_intercepted: bool = False

    @property
    def by_client_credentials(self) -> bool:
        """Whether the application itself signs in (RFC 6749 4.4), not a person by device code."""
        return self.client_secret_file is not None or self.certificate_file is not None

    def authority_or_default(self) -> str | None:
        """The identity provider's address; None for an app password, which has none."""
        return self.authority or DEFAULT_AUTHORITIES.get(self.kind)
