"""Families of hellos recorded from real clients, of those that others published, and of what is none of them."""

import pytest

from exporter.protocols.client_family import DESCRIPTIONS, families_of
from exporter.protocols.client_hello import read_client_hello
from exporter.vocabulary import ClientFamily
from tests.protocols.hello_bytes import described
from tests.protocols.hello_clients import CLIENTS, Client, record_hello, recorded

RECORDED = recorded()
#: Clients that start within a second; the others are tried from their recorded hellos.
QUICK = {"openssl s_client", "Python ssl", "pyOpenSSL", "curl, IMAPS", "gnutls-cli", "NSS tstclnt", "Node"}

CHROME = "aaaa,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
CHROME_EXTENSIONS = "6a6a,000d,0000,000a,0005,000b,002b,001b,ff01,0033,4469,002d,0023,0017,0012,0010,0a0a,0015"
CHROME_SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"
FIREFOX = "1301,1303,1302,c02b,c02f,cca9,cca8,c02c,c030,c00a,c009,c013,c014,009c,009d,002f,0035"
FIREFOX_SIGNATURES = "0403,0503,0603,0804,0805,0806,0401,0501,0601,0203,0201"
SAFARI = "c02c,c02b,cca9,c030,c02f,cca8,c00a,c009,c014,c013,009d,009c,0035,002f,c008,c012,000a"
SAFARI_EXTENSIONS = "2a2a,0000,0017,ff01,000a,000b,0010,0005,000d,0012,0033,002d,002b,001b,3a3a"
IOS_13 = (
    "c02c,c02b,c024,c023,c00a,c009,cca9,c030,c02f,c028,c027,c014,c013,cca8,009d,009c,003d,003c,0035,002f,c008,c012,000a"
)
WINDOWS_SUITES = "c02c,c02b,c030,c02f,c024,c023,c028,c027,c00a,c009,c014,c013,009d,009c,003d,003c,0035,002f"
WINDOWS_SIGNATURES = "0804,0805,0806,0401,0501,0201,0403,0503,0203,0202,0601,0603"
SECURE_TRANSPORT = (
    "c02c,c02b,c024,c023,c00a,c009,c008,c030,c02f,c028,c027,c014,c013,c012,009d,009c,003d,003c,0035,002f,000a"
)


def family(message: bytes) -> ClientFamily:
    hello = read_client_hello(message)
    assert hello is not None
    assert not hello.partial
    return hello.family


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_recorded(client: Client):
    assert family(RECORDED[client.name][5:]) == client.family


@pytest.mark.parametrize(
    "client", [client for client in CLIENTS if client.name in QUICK], ids=lambda client: client.name
)
def test_on_the_spot(client: Client):
    hello = record_hello(client)
    if hello is None:
        pytest.skip(f"{client.program} is not installed")
    assert family(hello[5:]) == client.family


@pytest.mark.parametrize(
    ("ciphers", "extensions", "sigalgs", "expected"),
    [
        pytest.param(
            CHROME, CHROME_EXTENSIONS, CHROME_SIGNATURES, ClientFamily.CHROMIUM, id="Chrome (FoxIO's capture)"
        ),
        pytest.param(
            FIREFOX,
            "0000,0017,ff01,000a,000b,0023,0010,0005,0022,0012,0033,002b,000d,002d,001c,001b,fe0d",
            FIREFOX_SIGNATURES,
            ClientFamily.NSS,
            id="Firefox 144",
        ),
        pytest.param(
            FIREFOX,
            "0000,0017,ff01,000a,000b,0023,0005,0022,0033,002b,000d,002d,001c,fe0d",
            FIREFOX_SIGNATURES,
            ClientFamily.NSS,
            id="Firefox without ALPN, as a mail client",
        ),
        pytest.param(
            f"0a0a,1301,1302,1303,{SAFARI}",
            f"{SAFARI_EXTENSIONS},0015",
            "0403,0804,0401,0503,0203,0805,0805,0501,0806,0601,0201",
            ClientFamily.APPLE,
            id="Safari 17",
        ),
        pytest.param(
            f"0a0a,1302,1303,1301,{SAFARI}",
            SAFARI_EXTENSIONS,
            "0403,0804,0401,0503,0805,0805,0501,0806,0601,0201",
            ClientFamily.APPLE,
            id="Safari 26",
        ),
        pytest.param(
            f"00ff,{SECURE_TRANSPORT}",
            "0000,000a,000b,000d,0005,0012,0017",
            "0401,0403,0501,0503,0601,0603,0201,0203",
            ClientFamily.APPLE,
            id="Secure Transport",
        ),
        pytest.param(
            f"1301,1302,1303,{IOS_13}",
            "ff01,0000,0017,000d,0005,0012,0010,000b,0033,002d,002b,000a,0015",
            "0403,0804,0401,0503,0203,0805,0805,0501,0806,0601,0201",
            ClientFamily.APPLE,
            id="iOS 13",
        ),
        pytest.param(
            "00ff,c02c,c02b,c024,c023,c00a,c009,c008,c030,c02f,c028,c027,c014,c013,c012,009f,009e,006b,0067,0039,0033,"
            "0016,009d,009c,003d,003c,0035,002f,000a,c007,c011,0005,0004",
            "0000,000a,000b,000d,0005,0012,0017",
            "0401,0201,0501,0601,0403,0203,0503,0603",
            ClientFamily.APPLE,
            id="OS X 10.11",
        ),
        pytest.param(
            "00ff,c024,c023,c00a,c009,c008,c028,c027,c014,c013,c012,c026,c025,c005,c004,c003,c02a,c029,c00f,c00e,c00d,"
            "006b,0067,0039,0033,0016,003d,003c,0035,002f,000a,c007,c011,c002,c00c,0005,0004",
            "0000,000a,000b,000d,3374",
            "0501,0401,0201,0403,0203",
            ClientFamily.APPLE,
            id="OS X 10.9",
        ),
        pytest.param(
            "9a9a,1303,1301,1302,cca9,cca8,c02b,c02f,c02c,c030,c013,c014,009c,009d,002f,0035",
            "4a4a,0000,0017,ff01,000a,000b,0023,0010,0005,000d,0012,0033,002d,002b,001b,4469,6a6a,0015",
            CHROME_SIGNATURES,
            ClientFamily.CHROMIUM,
            id="Chrome without AES instructions",
        ),
        pytest.param(
            "baba,cca9,cca8,c02b,c02f,c02c,c030,c013,c014,009c,009d,002f,0035,000a",
            "baba,ff01,0000,0017,0023,000d,0005,0012,0010,7550,000b,000a,001b,7a7a",
            f"{CHROME_SIGNATURES},0201",
            ClientFamily.CHROMIUM,
            id="Electron 4",
        ),
        pytest.param(
            f"{WINDOWS_SUITES},000a",
            "0000,0005,000a,000b,000d,0023,0017,ff01",
            WINDOWS_SIGNATURES,
            ClientFamily.SCHANNEL,
            id="Windows 10 (FoxIO's capture)",
        ),
        pytest.param(
            f"1302,1301,{WINDOWS_SUITES}",
            "0000,0005,002b,000d,0023,000a,000b,0010,0033,0031,0017,ff01,002d",
            WINDOWS_SIGNATURES,
            ClientFamily.SCHANNEL,
            id="Windows 11",
        ),
        pytest.param(
            "1302,1301,c02c,c02b,c030,c02f,009f,009e,c024,c023,c028,c027,c00a,c009,c014,c013,009d,009c,003d,003c,0035,002f",
            "0000,0005,002b,000d,0023,000a,000b,0033,0031,0017,ff01,002d",
            WINDOWS_SIGNATURES,
            ClientFamily.SCHANNEL,
            id="Windows Server 2022, .NET",
        ),
    ],
)
def test_published(ciphers: str, extensions: str, sigalgs: str, expected: ClientFamily):
    assert family(described(ciphers, extensions, sigalgs, "h2")) == expected


@pytest.mark.parametrize(
    ("ciphers", "extensions", "sigalgs"),
    [
        pytest.param("1301,1302,1303", "0000,000a,000d,002b,0033", "0403,0804", id="a stack of nobody"),
        pytest.param(
            "1302,1301,1303,c02c,c02b,cca9,c030,c02f,cca8,00ff",
            "0033,000d,0000,0017,000b,0023,002b,002d,000a,0005",
            "0503,0403,0603,0807,0806,0805,0804,0601,0501,0401",
            id="rustls",
        ),
        pytest.param(CHROME.removeprefix("aaaa,"), CHROME_EXTENSIONS, CHROME_SIGNATURES, id="Chrome without GREASE"),
        pytest.param(
            "c02b,c02c,cca9,c02f,c030,cca8,c009,c00a,c013,c014,009c,009d,002f,0035",
            "ff01,0000,0017,0023,000d,0005,0010,000b,000a", f"{CHROME_SIGNATURES},0201", id="Android's Conscrypt",
        ),
        pytest.param(CHROME, CHROME_EXTENSIONS, FIREFOX_SIGNATURES, id="Chrome's suites, Firefox's signatures"),
        pytest.param(FIREFOX, "0000,0017,ff01,000a,000b,000d", "0804,0403", id="Firefox's suites, other signatures"),
        pytest.param(
            "c030,c02c,c028,c024,c014,c00a,009f,006b,0039,cca9,cca8,ccaa,ff85,00c4,00ff", "0000,000b,000a,000d,0010",
            "0601,0603,efef,0501,0503,0401,0403,eeee,eded,0301,0303,0201,0203", id="LibreSSL (FoxIO's capture)",
        ),
    ],
)  # fmt: skip
def test_unknown_rather_than_wrong(ciphers: str, extensions: str, sigalgs: str):
    assert family(described(ciphers, extensions, sigalgs, "")) == ClientFamily.UNKNOWN


@pytest.mark.parametrize("name", RECORDED)
def test_no_recorded_hello_fits_two_families(name: str):
    hello = read_client_hello(RECORDED[name][5:])
    assert hello is not None
    assert len(families_of(hello.offer)) == 1


def test_a_hello_whose_end_is_missing_is_unknown():
    hello = read_client_hello(RECORDED["Go"][5:-1])
    assert hello is not None
    assert hello.family == ClientFamily.UNKNOWN


def test_every_family_is_described_and_says_on_what_basis():
    assert {each.family for each in DESCRIPTIONS} == set(ClientFamily) - {ClientFamily.UNKNOWN}
    assert all(each.basis.startswith(("measured: ", "published: ")) for each in DESCRIPTIONS)
