"""Real handshakes: every byte that OpenSSL's client and server say to each other, through memory, and what it meant.

Two OpenSSLs take part: Python's `ssl`, and the one that pyOpenSSL brings, whose hello has a post-quantum key share and
so doesn't fit into one segment.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from OpenSSL import SSL

from benchmarks.traffic.authorities import Authority

#: Rounds after which two endpoints that go on talking are given up.
MAX_ROUNDS = 20

#: Whether the client says it, and all it says until the other side speaks.
Flight = tuple[bool, bytes]

_TLS12, _TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
_VERSIONS = {_TLS12: "TLSv1.2", _TLS13: "TLSv1.3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What passed, and the truth about it.

    The last flight of the client's is the one with its Finished, where `established`. `issuer`: RFC 4514 text where the
    certificate is seen in clear. `cipher`, `group`: IANA's names.
    """

    name: str
    kind: str
    flights: tuple[Flight, ...]
    established: bool
    version: str | None
    cipher: str | None
    issuer: str | None
    group: str | None
    resumed: bool = False
    hello_retry: bool = False


class Endpoint(Protocol):
    """One side: bytes in, bytes out."""

    done: bool

    def take(self, data: bytes) -> None: ...
    def step(self) -> bytes:
        """What it has to say now, its alert where it fails."""


class StandardEndpoint:
    """Python's `ssl`; a server where it has no name to ask for."""

    def __init__(self, context: ssl.SSLContext, name: str | None = None, session: ssl.SSLSession | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, name is None, name, session)
        self.newest = context.maximum_version
        self.done = False

    def take(self, data: bytes) -> None:
        self._incoming.write(data)

    def step(self) -> bytes:
        try:
            if self.done:
                self.tls.read(65_536)
            else:
                self.tls.do_handshake()
                self.done = True
        except ssl.SSLError:
            pass
        return self._outgoing.read()


class OtherEndpoint:
    """pyOpenSSL."""

    def __init__(self, context: SSL.Context, name: str | None = None) -> None:
        self.tls = SSL.Connection(context, None)
        self.done = False
        if name is None:
            self.tls.set_accept_state()
        else:
            self.tls.set_tlsext_host_name(name.encode())
            self.tls.set_connect_state()

    def take(self, data: bytes) -> None:
        self.tls.bio_write(data)

    def step(self) -> bytes:
        try:
            if self.done:
                self.tls.recv(65_536)
            else:
                self.tls.do_handshake()
                self.done = True
        except SSL.Error:
            pass
        try:
            return self.tls.bio_read(65_536)
        except SSL.WantReadError:
            return b""


def converse(client: Endpoint, server: Endpoint) -> tuple[Flight, ...]:
    """All flights until both are silent."""
    flights: list[Flight] = []
    for _ in range(MAX_ROUNDS):
        said = client.step()
        if said:
            flights.append((True, said))
            server.take(said)
        answered = server.step()
        if answered:
            flights.append((False, answered))
            client.take(answered)
        if not said and not answered:
            return tuple(flights)
    raise RuntimeError("an endless handshake")


def record_handshakes(name: str, rsa: Authority, elliptic: Authority) -> list[Handshake]:
    """One of each kind with a server of this name."""
    sessions = _Sessions(name, rsa)
    return [
        _standard(name, "tls12-rsa", rsa, _client(rsa, _TLS12), "ECDHE-RSA-AES256-GCM-SHA384"),
        _standard(name, "tls12-ec", elliptic, _client(elliptic, _TLS12), "ECDHE-ECDSA-AES128-GCM-SHA256"),
        _standard(name, "tls12-chacha", rsa, _client(rsa, _TLS12), "ECDHE-RSA-CHACHA20-POLY1305"),
        _standard(name, "tls12-cbc", rsa, _client(rsa, _TLS12), "AES128-SHA"),
        sessions.resumed(_TLS12, "tls12-resumed"),
        _standard(name, "tls13-rsa", rsa, _client(rsa, _TLS13), None),
        _standard(name, "tls13-ec", elliptic, _client(elliptic, _TLS13), None),
        _standard(name, "tls13-retry", rsa, _client(rsa, _TLS13), None, curve="secp384r1"),
        sessions.resumed(_TLS13, "tls13-resumed"),
        _post_quantum(name, rsa, None),
        _post_quantum(name, elliptic, SSL.TLS1_2_VERSION),
        _standard(name, "untrusting12", rsa, _client(elliptic, _TLS12), "ECDHE-RSA-AES256-GCM-SHA384"),
        _standard(name, "untrusting13", rsa, _client(elliptic, _TLS13), None),
        _version_refused(name, rsa),
    ]


def _client(trusted: Authority, newest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(trusted.root))
    context.maximum_version = newest
    context.set_ciphers("ALL:@SECLEVEL=1")
    return context


def _server(authority: Authority, cipher: str | None = None, curve: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.chain)
    if cipher:
        context.set_ciphers(cipher)
    if curve:
        context.set_ecdh_curve(curve)
    return context


#: IANA's names of the suites used here; those of TLS 1.3 have no other.
_IANA = {
    "ECDHE-RSA-AES256-GCM-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "AES128-SHA": "TLS_RSA_WITH_AES_128_CBC_SHA",
}


def _standard(
    name: str, kind: str, authority: Authority, client: ssl.SSLContext, cipher: str | None, curve: str | None = None
) -> Handshake:
    one, other = StandardEndpoint(client, name), StandardEndpoint(_server(authority, cipher, curve))
    return _truth(name, kind, authority, cipher, one, other, converse(one, other))


def _truth(
    name: str,
    kind: str,
    authority: Authority,
    cipher: str | None,
    client: StandardEndpoint,
    server: Endpoint,
    flights: Sequence[Flight],
) -> Handshake:
    tls = client.tls
    version = tls.version() or _VERSIONS[client.newest]  # it doesn't say after it has failed
    chosen = tls.cipher()
    suite = chosen[0] if chosen else cipher
    in_clear = version == "TLSv1.2" and not tls.session_reused
    return Handshake(
        name=name,
        kind=kind,
        flights=tuple(flights),
        established=client.done and server.done,
        version=version,
        cipher=_IANA.get(suite, suite) if suite else None,
        issuer=authority.issuer if in_clear else None,
        group=_group(kind, bool(tls.session_reused)),
        resumed=bool(tls.session_reused),
        hello_retry=kind.endswith("retry"),
    )


def _group(kind: str, resumed: bool) -> str | None:
    """Python's `ssl` doesn't say. Without a key exchange in TLS 1.2 there is none."""
    if kind == "tls12-cbc" or (kind.startswith("tls12") and resumed):
        return None
    return "secp384r1" if kind.endswith("retry") else "x25519"


class _Sessions:
    """A server that knows its client from the connection before."""

    def __init__(self, name: str, authority: Authority) -> None:
        self._name, self._authority = name, authority
        self._context = _server(authority)

    def resumed(self, version: ssl.TLSVersion, kind: str) -> Handshake:
        context = _client(self._authority, version)
        first, other = StandardEndpoint(context, self._name), StandardEndpoint(self._context)
        converse(first, other)
        again, other = StandardEndpoint(context, self._name, first.tls.session), StandardEndpoint(self._context)
        handshake = _truth(self._name, kind, self._authority, None, again, other, converse(again, other))
        assert handshake.resumed, kind
        return handshake


def _post_quantum(name: str, authority: Authority, server_newest: int | None) -> Handshake:
    """A large hello; to an old server it makes no difference."""
    serving, asking = SSL.Context(SSL.TLS_SERVER_METHOD), SSL.Context(SSL.TLS_CLIENT_METHOD)
    serving.use_certificate_chain_file(str(authority.chain))
    serving.use_privatekey_file(str(authority.chain))
    if server_newest is not None:
        serving.set_max_proto_version(server_newest)
    client, server = OtherEndpoint(asking, name), OtherEndpoint(serving)
    flights = converse(client, server)
    version, cipher = client.tls.get_protocol_version_name(), client.tls.get_cipher_name() or ""
    return Handshake(
        name=name,
        kind="large" if server_newest is None else "large-tls12",
        flights=flights,
        established=client.done and server.done,
        version=version,
        cipher=_IANA.get(cipher, cipher),
        issuer=authority.issuer if version == "TLSv1.2" else None,
        group=client.tls.get_group_name(),
    )


def _version_refused(name: str, authority: Authority) -> Handshake:
    """A client without TLS 1.3 at a server without TLS 1.2: the server's alert is all it says."""
    serving = _server(authority)
    serving.minimum_version = _TLS13
    client = StandardEndpoint(_client(authority, _TLS12), name)
    flights = converse(client, server := StandardEndpoint(serving))
    assert not server.done
    return Handshake(
        name=name,
        kind="version-refused",
        flights=flights,
        established=False,
        version=None,
        cipher=None,
        issuer=None,
        group=None,
    )
