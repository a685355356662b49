"""TLS of the web server, by exporter-toolkit's `tls_server_config`; certificates are read anew when their files change.

A connection's certificate is chosen in the callback that OpenSSL calls at each ClientHello: there the files are
looked at. A bad new certificate leaves the old one in force.
"""

import ssl
from ssl import SSLContext, SSLObject, SSLSocket

import structlog

from exporter.settings_errors import ConfigurationError
from exporter.web.web_config import CIPHER_SUITES, Signature, TlsServerConfig, WebConfig, signature_of

log = structlog.get_logger(__name__)

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class Certificates:
    """Owns the context that the server listens with. Raises ConfigurationError if it can't be made at the start."""

    def __init__(self, web_config: WebConfig) -> None:
        self._web_config = web_config
        config = _tls_of(web_config)
        self._signature = self._files(config)
        self.context = self._chosen = context_of(config)
        self._watch(self.context)

    def refresh(self) -> None:
        """Reads the files again if one changed. Connections to come use what is found."""
        config = self._web_config.current().tls_server_config
        if config is None:  # TLS can't be left without a restart: nobody expects passwords in clear from a reload
            return
        signature = self._files(config)
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._chosen = context_of(config)
            _fill(self.context, config)  # verification and versions are taken from the context that listens
            log.info("certificate read anew", file=str(config.cert_file))
        except ConfigurationError as error:
            log.error("certificate refused; the old one stays in force", problems=error.problems)

    def _files(self, config: TlsServerConfig) -> Signature:
        return signature_of(self._web_config.path, config.cert_file, config.key_file, config.client_ca_file)

    def _watch(self, context: SSLContext) -> None:
        def choose(connection: SSLObject | SSLSocket, name: str | None, listening: SSLContext) -> None:
            self.refresh()
            connection.context = self._chosen

        context.sni_callback = choose


def _tls_of(web_config: WebConfig) -> TlsServerConfig:
    config = web_config.current().tls_server_config
    if config is None:
        raise ConfigurationError([f"{web_config.path}: tls_server_config: is missing; add it"])
    return config


def context_of(config: TlsServerConfig) -> SSLContext:
    """A server's context. Raises ConfigurationError."""
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _fill(context, config)
    return context


def _fill(context: SSLContext, config: TlsServerConfig) -> None:
    try:
        context.load_cert_chain(config.cert_file, config.key_file, password=_no_password)
        if config.client_ca_file is not None:
            context.load_verify_locations(config.client_ca_file)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise ConfigurationError([f"{config.cert_file}: {_words(error)}"]) from None
    context.verify_mode = _verify_mode(config)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    suites = [CIPHER_SUITES[name] for name in config.cipher_suites if name in CIPHER_SUITES]
    if suites:
        context.set_ciphers(":".join(suites))
    if config.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE


def _verify_mode(config: TlsServerConfig) -> ssl.VerifyMode:
    match config.client_auth_type:
        case "RequireAndVerifyClientCert":
            return ssl.CERT_REQUIRED
        case "VerifyClientCertIfGiven":
            return ssl.CERT_OPTIONAL
        case _:
            return ssl.CERT_NONE


def _no_password() -> str:
    raise ValueError("the key is encrypted; store it without a passphrase, mode 0600")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"certificate and key can't be used ({error.reason or 'unknown reason'})"
    return str(error.args[-1] if error.args else error).lower()
