"""Where an account's tokens are asked for, and which: endpoints and scopes, by its authority (facts 4.1, 4.2, 1).

Endpoints of Microsoft's own identity providers are known, so that nobody's metadata can name another place for a
secret. Those of another provider are fetched, and must be on the authority's own host.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from exporter.accounts.token import Grant, Resource
from exporter.settings_account import AccountSettings
from exporter.vocabulary import AccountKind

#: Identity providers of Microsoft, and the Exchange host whose scopes they know.
_EXCHANGE_OF = {
    "login.microsoftonline.com": "outlook.office365.com",
    "login.microsoft.com": "outlook.office365.com",
    "login.windows.net": "outlook.office365.com",
    "sts.windows.net": "outlook.office365.com",
    "login.microsoftonline.us": "outlook.office365.us",
    "login.partner.microsoftonline.cn": "partner.outlook.cn",
    "login.chinacloudapi.cn": "partner.outlook.cn",
}
_GRAPH_OF = {
    "login.microsoftonline.us": "graph.microsoft.us",
    "login.partner.microsoftonline.cn": "microsoftgraph.chinacloudapi.cn",
    "login.chinacloudapi.cn": "microsoftgraph.chinacloudapi.cn",
}
#: Delegated scopes are under this name, for work and personal accounts alike.
_PUBLIC_SCOPE_HOST = "outlook.office.com"
_DELEGATED = ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send")


@dataclass(frozen=True, slots=True)
class Authority:
    """An identity provider as an account names it: `https://HOST[:PORT]/TENANT`."""

    url: str

    @classmethod
    def of(cls, account: AccountSettings) -> "Authority":
        """Raises ValueError for an account that has none (an app password)."""
        url = account.authority_or_default()
        if url is None:
            raise ValueError(f"an account of kind {account.kind} asks for no token")
        return cls(url)

    @property
    def host(self) -> str:
        """In lower case."""
        return (urlsplit(self.url).hostname or "").lower()

    @property
    def port(self) -> int:
        """443 unless it is written."""
        return urlsplit(self.url).port or 443

    @property
    def is_microsofts(self) -> bool:
        """Whether its endpoints are known, without asking."""
        return self.host in _EXCHANGE_OF

    def known_metadata(self) -> dict[str, str]:
        """What its openid-configuration says, as far as a token request needs it (facts 4.2)."""
        return {
            "issuer": f"{self.url}/v2.0",
            "authorization_endpoint": f"{self.url}/oauth2/v2.0/authorize",
            "token_endpoint": f"{self.url}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{self.url}/oauth2/v2.0/devicecode",
        }

    def scopes(self, account: AccountSettings, resource: Resource) -> tuple[str, ...]:
        """What is asked for: one resource a request, the application's own permissions or the person's."""
        if resource is Resource.GRAPH:
            host = _GRAPH_OF.get(self.host, "graph.microsoft.com")
            return (f"https://{host}/{'.default' if account.by_client_credentials else 'User.Read'}",)
        exchange = _EXCHANGE_OF.get(self.host, "outlook.office365.com")
        if account.by_client_credentials:
            return (f"https://{exchange}/.default",)
        host = _PUBLIC_SCOPE_HOST if exchange == "outlook.office365.com" else exchange
        return tuple(f"https://{host}/{scope}" for scope in _DELEGATED)


def grant_of(account: AccountSettings) -> Grant:
    """How the service asks for an account's tokens; the first of a person's comes by `login`."""
    return Grant.CLIENT_CREDENTIALS if account.by_client_credentials else Grant.REFRESH_TOKEN


def has_tokens(account: AccountSettings) -> bool:
    """Whether an account is one that asks for tokens."""
    return account.kind is not AccountKind.APP_PASSWORD
