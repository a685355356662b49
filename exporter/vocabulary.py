"""The words of the contract, once.

Metrics, JSON, pages, alerts, dashboards, runbooks and tests take them from here.
Terms are those of the field: RFC 3501 (IMAP), 5321 (SMTP), 1939 (POP), 7628 (SASL OAuth),
8446 (TLS 1.3), 6749 (OAuth 2.0).
"""

from enum import StrEnum


class Protocol(StrEnum):
    """What is spoken at a target; it decides which phases a walk has."""

    IMAP = "imap"
    POP = "pop"
    SMTP = "smtp"
    SIGN_IN = "sign_in"
    ACTIVESYNC = "activesync"
    HTTPS = "https"
    HTTP = "http"


class Phase(StrEnum):
    """A step of the way to a target. The order for a protocol stands in `phases_of`."""

    DNS = "dns"
    CONNECT = "connect"
    PROXY = "proxy"
    GREETING = "greeting"
    STARTTLS = "starttls"
    TLS = "tls"
    CAPABILITY = "capability"
    HTTP = "http"
    TOKEN = "token"
    AUTH = "auth"
    SESSION = "session"


class Outcome(StrEnum):
    """How a phase ended."""

    OK = "ok"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    RESET = "reset"
    CLOSED = "closed"
    UNREACHABLE = "unreachable"
    NAME_NOT_FOUND = "name_not_found"
    SERVER_FAILURE = "server_failure"
    ADDRESS_SUSPICIOUS = "address_suspicious"
    ALERT = "alert"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_NAME_MISMATCH = "certificate_name_mismatch"
    CERTIFICATE_CHAIN_INCOMPLETE = "certificate_chain_incomplete"
    PROTOCOL_VERSION_REFUSED = "protocol_version_refused"
    NOT_OFFERED = "not_offered"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    UNEXPECTED_CONTENT = "unexpected_content"
    UNRECOGNIZED = "unrecognized"
    SKIPPED = "skipped"  # behind a failed phase, or cut by a caller's deadline: never a fault


#: Outcomes after which the conversation goes on (without any secret), so that what follows is seen too.
CONVERSATION_GOES_ON = frozenset(
    {
        Outcome.OK,
        Outcome.ADDRESS_SUSPICIOUS,
        Outcome.CERTIFICATE_UNTRUSTED,
        Outcome.CERTIFICATE_EXPIRED,
        Outcome.CERTIFICATE_NOT_YET_VALID,
        Outcome.CERTIFICATE_NAME_MISMATCH,
        Outcome.CERTIFICATE_CHAIN_INCOMPLETE,
        Outcome.UNRECOGNIZED,
    }
)

CERTIFICATE_OUTCOMES = frozenset(outcome for outcome in Outcome if outcome.startswith("certificate_"))


class Mechanism(StrEnum):
    """How a client signs in, by what it presents."""

    PASSWORD = "password"  # IMAP LOGIN, SASL PLAIN and LOGIN, POP USER/PASS, HTTP Basic
    TOKEN = "token"  # XOAUTH2, OAUTHBEARER, HTTP Bearer
    OTHER = "other"
    UNKNOWN = "unknown"


class AuthOutcome(StrEnum):
    """How an attempt to sign in ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    EXPECTED_REFUSAL = "expected_refusal"  # our canary was refused in one of Microsoft's own ways
    ABANDONED = "abandoned"
    THROTTLED = "throttled"
    UNKNOWN = "unknown"


class OfferedMechanism(StrEnum):
    """SASL names and their kin that a server may offer: a fixed list, for it becomes a label."""

    XOAUTH2 = "XOAUTH2"
    OAUTHBEARER = "OAUTHBEARER"
    PLAIN = "PLAIN"
    LOGIN = "LOGIN"
    LOGIN_COMMAND = "LOGIN_COMMAND"  # IMAP LOGIN (no LOGINDISABLED), POP USER/PASS
    NTLM = "NTLM"
    GSSAPI = "GSSAPI"
    CRAM_MD5 = "CRAM-MD5"
    DIGEST_MD5 = "DIGEST-MD5"
    EXTERNAL = "EXTERNAL"
    SCRAM_SHA_1 = "SCRAM-SHA-1"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    BEARER = "BEARER"  # HTTP WWW-Authenticate
    BASIC = "BASIC"
    NEGOTIATE = "NEGOTIATE"
    OTHER = "other"


class ConnectionOutcome(StrEnum):
    """How far a client's connection got, read from packets: the furthest point reached."""

    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    HELLO_UNANSWERED = "hello_unanswered"
    HELLO_RESET = "hello_reset"
    HANDSHAKE_FAILED = "handshake_failed"
    ESTABLISHED = "established"
    NOT_TLS = "not_tls"
    INCOMPLETE = "incomplete"  # the capture begins or ends inside, so that it can't be told


class ClosedBy(StrEnum):
    """Who ended a client's connection, and how."""

    CLIENT = "client"
    SERVER = "server"
    RESET_CLIENT = "reset_client"
    RESET_SERVER = "reset_server"
    TIMEOUT = "timeout"


class ClientFamily(StrEnum):
    """Whose TLS stack a ClientHello is, by its structure."""

    APPLE = "apple"
    NSS = "nss"  # Thunderbird, Firefox
    SCHANNEL = "schannel"
    OPENSSL = "openssl"  # Python, curl, and most scripts
    GNUTLS = "gnutls"
    JAVA = "java"
    GO = "go"
    CHROMIUM = "chromium"
    UNKNOWN = "unknown"


class ClientState(StrEnum):
    """How a client fared in the inspector's window."""

    HEALTHY = "healthy"
    PASSWORD_REFUSED = "password_refused"
    TOKEN_REFUSED = "token_refused"
    RETRY_LOOP = "retry_loop"
    ABANDONED = "abandoned"
    BLOCKED = "blocked"


class Tampering(StrEnum):
    """What a gateway did to a connection that was seen on both its sides."""

    SYN_NOT_FORWARDED = "syn_not_forwarded"
    HELLO_NOT_FORWARDED = "hello_not_forwarded"
    RESET_FORGED = "reset_forged"
    RESET_NOT_FORWARDED = "reset_not_forwarded"
    HELLO_REWRITTEN = "hello_rewritten"
    CERTIFICATE_REPLACED = "certificate_replaced"
    TERMINATED = "terminated"
    STARTTLS_REMOVED = "starttls_removed"
    GREETING_REWRITTEN = "greeting_rewritten"
    BANNER_INJECTED = "banner_injected"
    PAYLOAD_DROPPED = "payload_dropped"
    DELAY_ADDED = "delay_added"
    IDLE_CUT = "idle_cut"
    MSS_CLAMPED = "mss_clamped"  # not a fault


class Cause(StrEnum):
    """What is wrong; one vocabulary for verdicts, metrics, alerts and runbooks."""

    HEALTHY = "healthy"
    DNS_FAILURE = "dns_failure"
    DNS_REDIRECTED = "dns_redirected"
    TCP_DROPPED = "tcp_dropped"
    TCP_RESET = "tcp_reset"
    TCP_UNREACHABLE = "tcp_unreachable"
    IPV6_BROKEN = "ipv6_broken"
    MTU_BLACKHOLE = "mtu_blackhole"
    PACKET_LOSS = "packet_loss"
    SLOW_PATH = "slow_path"
    SNI_RESET = "sni_reset"
    SNI_DROPPED = "sni_dropped"
    TLS_RESET = "tls_reset"
    LARGE_HELLO_DROPPED = "large_hello_dropped"
    TLS_INTERCEPTED = "tls_intercepted"
    ROOT_NOT_TRUSTED = "root_not_trusted"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_NAME_MISMATCH = "certificate_name_mismatch"
    CERTIFICATE_CHAIN_INCOMPLETE = "certificate_chain_incomplete"
    TLS_VERSION_BLOCKED = "tls_version_blocked"
    STARTTLS_STRIPPED = "starttls_stripped"
    AUTH_MECHANISM_STRIPPED = "auth_mechanism_stripped"
    PROTOCOL_REWRITTEN = "protocol_rewritten"
    CAPTIVE_PORTAL = "captive_portal"
    BLOCK_PAGE = "block_page"
    PROXY_AUTH_REQUIRED = "proxy_auth_required"
    TENANT_RESTRICTED = "tenant_restricted"
    IDLE_CUT = "idle_cut"
    AUTH_DROPPED = "auth_dropped"
    PASSWORD_REFUSED = "password_refused"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_REVOKED = "token_revoked"
    TOKEN_MISSING = "token_missing"
    MFA_REQUIRED = "mfa_required"
    CONSENT_MISSING = "consent_missing"
    CONDITIONAL_ACCESS = "conditional_access"
    ACCOUNT_DISABLED = "account_disabled"
    CREDENTIALS_INVALID = "credentials_invalid"
    APP_MISCONFIGURED = "app_misconfigured"
    PROTOCOL_DISABLED = "protocol_disabled"
    MAILBOX_UNAVAILABLE = "mailbox_unavailable"
    CLOCK_SKEW = "clock_skew"
    THROTTLED = "throttled"
    SERVICE_OUTAGE = "service_outage"
    PARTIAL_OUTAGE = "partial_outage"
    SLOW_SIGN_IN = "slow_sign_in"
    SLOW_SERVICE = "slow_service"
    UNKNOWN = "unknown"


class Responsible(StrEnum):
    """Who has to act."""

    GATEWAY = "gateway"
    NETWORK = "network"  # beyond the gateway
    MICROSOFT = "microsoft"
    ACCOUNT = "account"
    CLIENT = "client"
    APPLIANCE = "appliance"  # this machine and its configuration
    UNKNOWN = "unknown"


class AccountKind(StrEnum):
    """What an account presents."""

    OAUTH_PERSONAL = "oauth_personal"
    OAUTH_WORK = "oauth_work"
    APP_PASSWORD = "app_password"


def phases_of(protocol: Protocol, *, starttls: bool, proxied: bool) -> tuple[Phase, ...]:
    """The phases a walk to such a target has, in order. `session` follows only a real sign-in."""
    reach = (Phase.DNS, Phase.CONNECT, *((Phase.PROXY,) if proxied else ()))
    match protocol:
        case Protocol.IMAP | Protocol.POP | Protocol.SMTP if starttls:
            return (*reach, Phase.GREETING, Phase.STARTTLS, Phase.TLS, Phase.CAPABILITY, Phase.AUTH)
        case Protocol.IMAP | Protocol.POP | Protocol.SMTP:
            return (*reach, Phase.TLS, Phase.GREETING, Phase.CAPABILITY, Phase.AUTH)
        case Protocol.SIGN_IN:
            return (*reach, Phase.TLS, Phase.TOKEN)
        case Protocol.ACTIVESYNC:
            return (*reach, Phase.TLS, Phase.HTTP, Phase.AUTH)
        case Protocol.HTTPS:
            return (*reach, Phase.TLS, Phase.HTTP)
        case Protocol.HTTP:
            return (*reach, Phase.HTTP)
