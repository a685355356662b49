"""Targets and journeys, as data. An administrator extends them under `probe.custom`.

Sources: hosts and paths from Microsoft's endpoint list (edition 2026-08-14) and the POP/IMAP/SMTP settings page;
see docs of each in `../shared/microsoft-facts.md` 1, 2.4, 4.2.
"""

from dataclasses import dataclass

from exporter.vocabulary import Protocol

#: Ports on which mail protocols begin in clear and are upgraded (RFC 3207, 2595).
STARTTLS_PORTS = frozenset({25, 110, 143, 587, 2525})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something a client must reach. `microsoft`: replies are judged by Microsoft's words and addresses are public."""

    name: str
    protocol: Protocol
    hosts: tuple[str, ...]
    port: int
    starttls: bool = False
    path: str = "/"
    custom: bool = False

    @property
    def host(self) -> str:
        return self.hosts[0]


def _mail(name: str, protocol: Protocol, host: str, port: int) -> Target:
    return Target(name=name, protocol=protocol, hosts=(host,), port=port, starttls=port in STARTTLS_PORTS)


def _web(name: str, protocol: Protocol, *hosts: str, path: str = "/", port: int = 443) -> Target:
    return Target(name=name, protocol=protocol, hosts=hosts, port=port, path=path)


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        _mail("imap", Protocol.IMAP, "imap-mail.outlook.com", 993),
        _mail("smtp", Protocol.SMTP, "smtp-mail.outlook.com", 587),
        _mail("pop", Protocol.POP, "pop-mail.outlook.com", 995),
        _mail("imap_office365", Protocol.IMAP, "outlook.office365.com", 993),
        _mail("smtp_office365", Protocol.SMTP, "smtp.office365.com", 587),
        _mail("pop_office365", Protocol.POP, "outlook.office365.com", 995),
        _web("activesync", Protocol.ACTIVESYNC, "outlook.office365.com", path="/Microsoft-Server-ActiveSync"),
        _web("outlook_web", Protocol.HTTPS, "outlook.live.com"),
        _web("outlook_office365", Protocol.HTTPS, "outlook.office365.com"),
        _web("graph", Protocol.HTTPS, "graph.microsoft.com", path="/v1.0/me"),
        _web("autodiscover", Protocol.HTTPS, "autodiscover-s.outlook.com", path="/autodiscover/autodiscover.json"),
        _web("sign_in_personal", Protocol.SIGN_IN, "login.live.com", path="/oauth20_token.srf"),
        _web("sign_in_work", Protocol.SIGN_IN, "login.microsoftonline.com", path="/common/oauth2/v2.0/token"),
        _web("sign_in_assets", Protocol.HTTPS, "aadcdn.msftauth.net", "logincdn.msftauth.net"),
        _web(
            "revocation", Protocol.HTTP, "ocsp.digicert.com", "crl3.digicert.com", "oneocsp.microsoft.com", port=80
        ),
    )
}  # fmt: skip

#: What a person asks for, each a set of targets that must all work.
JOURNEYS: dict[str, tuple[str, ...]] = {
    "apple_outlook_account": ("autodiscover", "activesync", "sign_in_work", "sign_in_personal", "sign_in_assets"),
    "imap_oauth": ("imap", "smtp", "sign_in_work", "sign_in_personal", "sign_in_assets"),
    "imap_password": ("imap", "smtp"),  # never works: Outlook.com ended passwords on 16 September 2024
    "outlook_app": ("outlook_office365", "graph", "sign_in_work", "sign_in_personal", "sign_in_assets"),
    "web": ("outlook_web", "sign_in_personal", "sign_in_assets"),
    "device_smtp": ("smtp", "smtp_office365", "sign_in_work"),
}
