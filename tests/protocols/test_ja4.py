"""Against FoxIO's specification of JA4, its examples, and what FoxIO's own tools say of the captures it publishes."""

import pytest

from exporter.protocols.client_hello import read_client_hello
from tests.protocols.hello_bytes import alpn, client_hello, described, server_name, signatures, versions

# The specification's example (technical_details/JA4.md).
CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
EXTENSIONS = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"
SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"


def ja4(message: bytes) -> str | None:
    hello = read_client_hello(message)
    assert hello is not None
    return hello.ja4


def test_the_specifications_example():
    assert ja4(described(CIPHERS, EXTENSIONS, SIGNATURES, "h2")) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_the_specifications_example_without_signature_algorithms():
    """Its hash of the extensions alone; 000d stands in the list all the same."""
    assert str(ja4(described(CIPHERS, EXTENSIONS, "", "h2"))).endswith("_6d807ffa2a79")


@pytest.mark.parametrize(
    ("name", "characters"),
    [
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"0\xab", "3b"),
        (b"01\xab\xcd", "3d"),
        (b"0\xab\xcd1", "01"),
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"imap", "ip"),
        (b"b", "bb"),
        (b"-x", "28"),
        (b"", "00"),
    ],
)
def test_first_and_last_of_alpn(name: bytes, characters: str):
    assert str(ja4(client_hello(extensions=[alpn(name)])))[8:10] == characters


def test_only_the_first_protocol_counts():
    assert str(ja4(client_hello(extensions=[alpn(b"h2", b"http/1.1")])))[8:10] == "h2"
    assert str(ja4(client_hello(extensions=[alpn()])))[8:10] == "00"


@pytest.mark.parametrize(
    ("version", "characters"),
    [(0x0304, "13"), (0x0303, "12"), (0x0302, "11"), (0x0301, "10"), (0x0300, "s3"), (0x0002, "s2"), (0x0399, "00")],
)
def test_versions(version: int, characters: str):
    assert str(ja4(client_hello(legacy=version)))[1:3] == characters
    assert str(ja4(client_hello(extensions=[versions(version)])))[1:3] == characters


def test_the_highest_version_wins_whatever_its_place():
    assert str(ja4(client_hello(extensions=[versions(0x0301, 0x0304, 0xFAFA, 0x0303)])))[1:3] == "13"
    assert str(ja4(client_hello(extensions=[versions(0xFAFA)])))[1:3] == "00"


def test_no_name_is_an_address():
    assert str(ja4(client_hello()))[3] == "i"
    assert str(ja4(client_hello(extensions=[server_name(b"outlook.com")])))[3] == "d"


def test_an_address_as_name_is_a_name():
    """The specification looks whether the extension is there, and at nothing in it."""
    assert str(ja4(client_hello(extensions=[server_name(b"192.0.2.1")])))[3] == "d"


def test_counts_end_at_99():
    hello = client_hello(range(0x2000, 0x2000 + 150), [(kind, b"") for kind in range(0x2000, 0x2000 + 100)])
    assert str(ja4(hello))[4:8] == "9999"


def test_counts_have_two_digits():
    assert str(ja4(client_hello([0x1301] * 6, [(0x2000, b"")])))[4:8] == "0601"


def test_nothing_is_zeros():
    assert ja4(client_hello([], [])) == "t12i000000_000000000000_000000000000"
    assert ja4(client_hello([0x0A0A], None)) == "t12i000000_000000000000_000000000000"
    assert ja4(client_hello([], [server_name(b"x"), alpn(b"h2")])) == "t12d0002h2_000000000000_000000000000"


def test_grease_counts_nowhere():
    plain = [server_name(b"x"), versions(0x0304), signatures(0x0403, 0x0804), (0x23, b"")]
    greased = [
        (0x2A2A, b""), server_name(b"x"), versions(0x0A0A, 0x0304), signatures(0xEAEA, 0x0403, 0x0804), (0x23, b""),
        (0xFAFA, b"\0"),
    ]  # fmt: skip
    assert ja4(client_hello([0x5A5A, 0x1301], greased)) == ja4(client_hello([0x1301], plain))


def test_neither_name_nor_protocol_changes_the_last_part():
    rest = [signatures(0x0403), (0x23, b"")]
    parts = {
        str(ja4(client_hello(extensions=[*more, *rest]))).rpartition("_")[2]
        for more in ([], [server_name(b"a.example")], [alpn(b"h2")], [server_name(b"b"), alpn(b"imap")])
    }
    assert len(parts) == 1


def test_signature_algorithms_keep_their_order_and_extensions_do_not():
    one, other = [signatures(0x0403, 0x0804), (0x23, b"")], [(0x23, b""), signatures(0x0403, 0x0804)]
    assert ja4(client_hello(extensions=one)) == ja4(client_hello(extensions=other))
    assert ja4(client_hello(extensions=one)) != ja4(client_hello(extensions=[signatures(0x0804, 0x0403), one[1]]))


def test_a_hello_whose_end_is_missing_has_none():
    hello = described(CIPHERS, EXTENSIONS, SIGNATURES, "h2")
    assert ja4(hello[:-1]) is None
    assert ja4(hello + b"garbage behind") == "t13d1516h2_8daaf6152771_e5627efa2ab1"


# FoxIO's captures (github.com/FoxIO-LLC/ja4, directory pcap), and what its tools say of them.
@pytest.mark.parametrize(
    ("ciphers", "extensions", "sigalgs", "protocol", "expected"),
    [
        pytest.param(
            "1301,1303,1302,c02b,c02f,cca9,cca8,c02c,c030,c00a,c009,c013,c014,009c,009d,002f,0035",
            "0000,0017,ff01,000a,000b,0023,0010,0005,0022,0033,002b,000d,002d,001c,0015",
            "0403,0503,0603,0804,0805,0806,0401,0501,0601,0203,0201",
            "h2",
            "t13d1715h2_5b57614c22b0_3d5424432f57",
            id="tls12.pcap",
        ),
        pytest.param(
            "c030,c02c,c028,c024,c014,c00a,009f,006b,0039,cca9,cca8,ccaa,ff85,00c4,0088,0081,009d,003d,0035,00c0,0084,"
            "c02f,c02b,c027,c023,c013,c009,009e,0067,0033,00be,0045,009c,003c,002f,00ba,0041,c011,c007,0005,0004,c012,"
            "c008,0016,000a,00ff",
            "0000,000b,000a,000d,0010",
            "0601,0603,efef,0501,0503,0401,0403,eeee,eded,0301,0303,0201,0203",
            "h2",
            "t12d4605h2_85626a9a5f7f_aaf95bb78ec9",
            id="tls-alpn-h2.pcap",
        ),
        pytest.param(
            "aaaa,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035",
            "6a6a,000d,0000,000a,0005,000b,002b,001b,ff01,0033,4469,002d,0023,0017,0012,0010,0a0a,0015",
            "0403,0804,0401,0503,0805,0501,0806,0601",
            "h2",
            "t13d1516h2_8daaf6152771_e5627efa2ab1",
            id="browsers-x509.pcapng",
        ),
        pytest.param(
            "aaaa,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035,000a",
            "4a4a,0000,0017,ff01,000a,000b,0023,0010,0005,000d,0012,0033,002d,002b,001b,7a7a,0015",
            "0403,0804,0401,0503,0805,0501,0806,0601,0201",
            "h2",
            "t13d1615h2_46e7e9700bed_45f260be83e2",
            id="badcurveball.pcap",
        ),
        pytest.param(
            "c02c,c02b,c030,c02f,c024,c023,c028,c027,c00a,c009,c014,c013,009d,009c,003d,003c,0035,002f,000a",
            "0000,0005,000a,000b,000d,0023,0017,ff01",
            "0804,0805,0806,0401,0501,0201,0403,0503,0203,0202,0601,0603",
            "",
            "t12d190800_d83cc789557e_7af1ed941c26",
            id="latest.pcapng, Windows",
        ),
        pytest.param(
            "0a0a,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035",
            "5a5a,000d,0010,0000,000b,0023,4469,ff01,0033,000a,002d,002b,0005,0017,0012,001b,6a6a,0029",
            "0403,0804,0401,0503,0805,0501,0806,0601",
            "h2",
            "t13d1516h2_8daaf6152771_9b887d9acb53",
            id="latest.pcapng, Chrome",
        ),
    ],
)
def test_foxios_captures(ciphers: str, extensions: str, sigalgs: str, protocol: str, expected: str):
    assert ja4(described(ciphers, extensions, sigalgs, protocol)) == expected
