"""A connection's line of JSON, as `observations.as_json` writes it and three times as fast: there may be very many."""

from dataclasses import fields
from datetime import datetime
from json.encoder import encode_basestring
from typing import Final

from exporter.observations import Connection, WireAlert, WireAuth, as_json

#: Written below, in this order; a connection with other fields, or tampering, is written the slow way.
_FIELDS: Final = (
    "start", "end", "client", "client_port", "server", "server_port", "ip_version", "vlan", "interface", "target",
    "sni", "outcome", "alert", "tls_version", "cipher", "group", "ja4", "client_family", "certificate_issuer",
    "tcp_handshake_seconds", "tls_handshake_seconds", "first_reply_seconds", "auth", "attempts", "bytes_sent",
    "bytes_received", "closed_by", "retry_of", "tampering", "retransmissions", "reply_seconds",
    "refusal", "server_ttl", "reset_ttl", "resumed", "hello_retry",
)  # fmt: skip
_IS_KNOWN: Final = tuple(field.name for field in fields(Connection)) == _FIELDS


def connection_json(connection: Connection) -> str:
    """One line. Words of the vocabulary and addresses need no escapes."""
    if not _IS_KNOWN or connection.tampering:
        return as_json(connection)
    c = connection
    vlan = ",".join(map(str, c.vlan))
    attempts = ",".join(map(_auth, c.attempts))
    return (
        f'{{"start":"{_moment(c.start)}","end":"{_moment(c.end)}","client":{_word(c.client)},'
        f'"client_port":{_number(c.client_port)},"server":"{c.server}","server_port":{c.server_port},'
        f'"ip_version":{c.ip_version},"vlan":[{vlan}],"interface":{_text(c.interface)},"target":{_text(c.target)},'
        f'"sni":{_text(c.sni)},"outcome":"{c.outcome}","alert":{_alert(c.alert)},"tls_version":{_word(c.tls_version)},'
        f'"cipher":{_word(c.cipher)},"group":{_word(c.group)},"ja4":{_word(c.ja4)},'
        f'"client_family":{_word(c.client_family)},"certificate_issuer":{_text(c.certificate_issuer)},'
        f'"tcp_handshake_seconds":{_seconds(c.tcp_handshake_seconds)},'
        f'"tls_handshake_seconds":{_seconds(c.tls_handshake_seconds)},'
        f'"first_reply_seconds":{_seconds(c.first_reply_seconds)},"auth":{_auth(c.auth)},"attempts":[{attempts}],'
        f'"bytes_sent":{_number(c.bytes_sent)},"bytes_received":{_number(c.bytes_received)},'
        f'"closed_by":{_word(c.closed_by)},"retry_of":{c.retry_of},"tampering":[],'
        f'"retransmissions":{c.retransmissions},"reply_seconds":{_seconds(c.reply_seconds)},'
        f'"refusal":{_number(c.refusal)},"server_ttl":{_number(c.server_ttl)},"reset_ttl":{_number(c.reset_ttl)},'
        f'"resumed":{_truth(c.resumed)},"hello_retry":{_truth(c.hello_retry)}}}'
    )


def _word(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'


def _text(value: str | None) -> str:
    return "null" if value is None else encode_basestring(value)


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _truth(value: bool | None) -> str:
    return "null" if value is None else "true" if value else "false"


def _moment(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _seconds(value: float | None) -> str:
    """As many digits as it has, none of them an exponent."""
    if value is None:
        return "null"
    text = repr(value)
    return text if "e" not in text else f"{value:.9f}"


def _alert(alert: WireAlert | None) -> str:
    if alert is None:
        return "null"
    encrypted = "true" if alert.encrypted else "false"
    level = _word(alert.level)
    return f'{{"name":{_word(alert.name)},"level":{level},"from":"{alert.sender}","encrypted":{encrypted}}}'


def _auth(auth: WireAuth | None) -> str:
    if auth is None:
        return "null"
    return f'{{"mechanism":"{auth.mechanism}","outcome":"{auth.outcome}","seconds":{_seconds(auth.seconds)}}}'
