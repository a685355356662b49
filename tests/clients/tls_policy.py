"""What TLS a server shall speak, for OpenSSL (its configuration file), Python's ssl and GnuTLS (a priority string)."""

import ssl
from pathlib import Path

from tests.real.certificates import Files

#: By name: highest version, cipher list of TLS 1.2 and below (OpenSSL's names), suites of TLS 1.3.
POLICIES = {
    "1.3": ("TLSv1.3", "DEFAULT", "TLS_AES_256_GCM_SHA384"),
    "1.3-aes128": ("TLSv1.3", "DEFAULT", "TLS_AES_128_GCM_SHA256"),
    "1.3-chacha": ("TLSv1.3", "DEFAULT", "TLS_CHACHA20_POLY1305_SHA256"),
    "1.2-gcm": ("TLSv1.2", "ECDHE+AESGCM", ""),
    "1.2-chacha": ("TLSv1.2", "ECDHE+CHACHA20", ""),
    "1.2-cbc": ("TLSv1.2", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384", ""),
    "1.2-cbc-sha1": ("TLSv1.2", "ECDHE-ECDSA-AES128-SHA", ""),
}
#: The same for GnuTLS.
PRIORITIES = {
    "1.3": "NORMAL:-CIPHER-ALL:+AES-256-GCM",
    "1.2-gcm": "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM",
    "1.2-cbc": "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:+AES-256-CBC",
}


def openssl_file(directory: Path, policy: str) -> Path:
    """An openssl.cnf that a program finds by OPENSSL_CONF."""
    version, ciphers, suites = POLICIES[policy]
    path = directory / f"openssl-{policy}.cnf"
    path.write_text(
        "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n"
        f"MinProtocol = TLSv1.2\nMaxProtocol = {version}\nCipherString = {ciphers}\n"
        + (f"Ciphersuites = {suites}\n" if suites else "")
    )
    return path


def context(policy: str, certificate: Files) -> ssl.SSLContext:
    """A server's context of Python's ssl. It can't choose among the suites of TLS 1.3, so that there the client does."""
    version, ciphers, _ = POLICIES[policy]
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(certificate.chain, certificate.key)
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    found.maximum_version = ssl.TLSVersion.TLSv1_3 if version == "TLSv1.3" else ssl.TLSVersion.TLSv1_2
    if ciphers != "DEFAULT":
        found.set_ciphers(ciphers)
    return found
