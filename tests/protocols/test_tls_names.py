"""IANA's names, against what OpenSSL and tshark call the same numbers."""

import re
import shutil
import subprocess

import pytest

from exporter.protocols.cipher_suites import CIPHER_SUITES
from exporter.protocols.tls_names import (
    ALERTS,
    GROUPS,
    alert_name,
    cipher_name,
    group_name,
    is_grease,
    version_name,
)

#: What tshark 4.0 names by what it was called before it was registered, or isn't.
_TSHARKS_OWN = {0x001C, 0x001D, *range(0x60, 0x67), *range(0xCC13, 0xCC16), 0x80, 0x81, 0x82, 0x83, *range(0x47, 0x5D)}


def test_names():
    assert cipher_name(0x1301) == "TLS_AES_128_GCM_SHA256"
    assert cipher_name(0xC02F) == "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    assert group_name(29) == "x25519"
    assert group_name(4588) == "X25519MLKEM768"
    assert version_name(0x0304) == "TLSv1.3"
    assert alert_name(48) == "unknown_ca"


def test_what_nobody_registered():
    assert cipher_name(0x00EE) == "0x00ee"
    assert cipher_name(0x1A1A) == "0x1a1a"
    assert group_name(0xABCD) == "0xabcd"
    assert version_name(0x0305) == "0x0305"
    assert alert_name(255) == "255"


def test_grease():
    """RFC 8701's sixteen, and nothing else."""
    found = [number for number in range(0x10000) if is_grease(number)]
    assert found == [0x0A0A + 0x1010 * step for step in range(16)]
    assert not set(found) & (set(CIPHER_SUITES) | set(GROUPS))


def test_no_name_stands_twice():
    for names in (CIPHER_SUITES, GROUPS, ALERTS):
        assert len(set(names.values())) == len(names)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_every_suite_of_openssl():
    listed = subprocess.run(
        ["openssl", "ciphers", "-stdname", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    suites = re.findall(r"0x(\w\w),0x(\w\w) - (TLS_\w+)", listed)
    assert len(suites) > 100
    assert {(name, cipher_name(int(high + low, 16))) for high, low, name in suites} == {(n, n) for *_, n in suites}


@pytest.fixture(scope="module")
def values() -> list[list[str]]:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    said = subprocess.run(["tshark", "-G", "values"], capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in said.splitlines() if line.startswith("V\ttls.")]


def of_tshark(values: list[list[str]], field: str) -> dict[int, str]:
    return {int(number, 0): name for _, which, number, name in values if which == field}


def test_suites_as_tshark_names_them(values: list[list[str]]):
    theirs = of_tshark(values, "tls.handshake.ciphersuite")
    registered = {n: name for n, name in theirs.items() if name.startswith("TLS_") and n < 0xE000}
    assert len(registered) > 300
    assert {n: cipher_name(n) for n in registered if n not in _TSHARKS_OWN} == {
        n: name for n, name in registered.items() if n not in _TSHARKS_OWN
    }


def test_groups_as_tshark_names_them(values: list[list[str]]):
    theirs = of_tshark(values, "tls.handshake.extensions_supported_group")
    common = {n for n in theirs if n in GROUPS and n < 0x200}
    assert len(common) > 30
    assert {n: GROUPS[n] for n in common} == {n: theirs[n] for n in common}


def test_alerts_as_tshark_names_them(values: list[list[str]]):
    theirs = of_tshark(values, "tls.alert_message.desc")
    words = {n: name.lower().replace(" ", "_") for n, name in theirs.items() if n != 1}  # a draft's
    assert {n: alert_name(n) for n in words} == words
