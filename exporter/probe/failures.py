"""The one boundary where foreign exceptions become words of the vocabulary."""

import errno
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from OpenSSL import SSL

from exporter.protocols.lines import ProtocolViolation
from exporter.protocols.tls_names import ALERT_LEVELS, ALERTS, alert_name
from exporter.protocols.tls_records import ContentType
from exporter.vocabulary import Outcome


class PhaseFailure(Exception):
    """A phase ended other than ok. `detail` may hold raw text of the network; it is cleaned where it is recorded."""

    def __init__(self, outcome: Outcome, detail: str | None = None, *, alert: str | None = None) -> None:
        super().__init__(outcome, detail)
        self.outcome = outcome
        self.detail = detail
        self.alert = alert


_ERRNO_OUTCOMES = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.RESET,
    errno.ECONNABORTED: Outcome.RESET,
    errno.EPIPE: Outcome.CLOSED,  # an RST that answers us behind the peer's FIN: it had closed before (tcp_reset())
    errno.ETIMEDOUT: Outcome.TIMEOUT,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTDOWN: Outcome.UNREACHABLE,
    errno.ENETDOWN: Outcome.UNREACHABLE,
    errno.ENOPROTOOPT: Outcome.UNREACHABLE,  # ICMP protocol unreachable
    errno.EPROTO: Outcome.UNREACHABLE,
    errno.EADDRNOTAVAIL: Outcome.UNREACHABLE,
    errno.EACCES: Outcome.UNREACHABLE,  # ICMP administratively prohibited, or this machine's own filter
    errno.EPERM: Outcome.UNREACHABLE,
    errno.EMSGSIZE: Outcome.UNREACHABLE,
}


def of_errno(number: int) -> Outcome:
    """The outcome a kernel error number stands for; anything unknown is `unreachable`."""
    return _ERRNO_OUTCOMES.get(number, Outcome.UNREACHABLE)


def of_os_error(error: OSError) -> PhaseFailure:
    """What an operating system error means."""
    if isinstance(error, TimeoutError):
        return PhaseFailure(Outcome.TIMEOUT, error.strerror)
    return PhaseFailure(of_errno(error.errno or 0), error.strerror or str(error) or type(error).__name__)


#: OpenSSL's reason texts that say more than "alert"; matched against the lower-cased reason.
_TLS_REASONS = (
    ("alert protocol version", Outcome.PROTOCOL_VERSION_REFUSED, "alert protocol_version"),
    ("unsupported protocol", Outcome.PROTOCOL_VERSION_REFUSED, "the server chose a version that is too old"),
    ("wrong ssl version", Outcome.PROTOCOL_VERSION_REFUSED, "the server chose another version"),
    ("version too low", Outcome.PROTOCOL_VERSION_REFUSED, "the server chose a version that is too old"),
    ("wrong version number", Outcome.UNEXPECTED_CONTENT, "not TLS"),
    ("http request", Outcome.UNEXPECTED_CONTENT, "plain HTTP where TLS was expected"),
    ("unexpected eof", Outcome.CLOSED, "closed in the middle of the handshake"),
)  # fmt: skip

_RECEIVED_ALERT = re.compile(r"(?:sslv3|tlsv1|tlsv13) (alert )?(.+)")
_ALERT_NAMES = frozenset(ALERTS.values())
_OPENSSL_SPELLING = {"user cancelled": "user canceled"}


def of_tls_error(error: SSL.Error) -> PhaseFailure:
    """What an OpenSSL error means: an alert of the peer by its RFC 8446 name, or plain text where TLS was expected."""
    reasons = [str(entry[-1]).lower() for entry in (error.args[0] if error.args else ()) if entry]
    text = "; ".join(reasons) or "TLS error"
    for reason in reasons:
        for part, outcome, detail in _TLS_REASONS:
            if part in reason:
                alert = "protocol_version" if "alert" in part else None
                return PhaseFailure(outcome, detail, alert=alert)
    name = next((name for reason in reasons if (name := _alert_in(reason)) is not None), None)
    if name is not None:
        return PhaseFailure(Outcome.ALERT, f"alert {name}", alert=name)
    return PhaseFailure(Outcome.UNEXPECTED_CONTENT, text)


def _alert_in(reason: str) -> str | None:
    """The peer's alert by its RFC 8446 name. OpenSSL leaves the word "alert" out of those of extensions (RFC 6066)."""
    found = _RECEIVED_ALERT.fullmatch(reason)
    if found is None:
        return None
    marked, words = found.groups()
    name = _OPENSSL_SPELLING.get(words, words).replace(" ", "_")
    return name if marked or name in _ALERT_NAMES else None


def of_clear_alert(record: bytes) -> PhaseFailure | None:
    """What an alert in clear means, by its bytes (OpenSSL has no words for those it doesn't know).

    None for no alert, and for a mere warning.
    """
    if len(record) < 7 or record[0] != ContentType.ALERT:
        return None
    level, name = ALERT_LEVELS.get(record[5]), alert_name(record[6])
    if name == "close_notify":
        return PhaseFailure(Outcome.CLOSED, "close_notify in the middle of the handshake", alert=name)
    return None if level == "warning" else PhaseFailure(Outcome.ALERT, f"alert {name}", alert=name)


@contextmanager
def mapped() -> Iterator[None]:
    """Lets only PhaseFailure (and cancellation and time-outs, which belong to the caller) out."""
    try:
        yield
    except PhaseFailure:
        raise
    except ProtocolViolation as error:
        raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, error.detail) from error
    except SSL.Error as error:
        raise of_tls_error(error) from error
    except ssl.SSLError as error:
        raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, str(error)) from error
    except TimeoutError:
        raise
    except OSError as error:
        raise of_os_error(error) from error
