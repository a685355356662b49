"""Whose TLS stack a ClientHello is, by what stands in it in which order; which program uses the stack it doesn't say.

A stack decides the order of its extensions, suites and signature algorithms, while users only leave some out. So each
description gives an order, and an offer fits if it keeps to it. A stack that isn't described is UNKNOWN, and so is what
fits two families: a wrong word is worse than none. A program that imitates another's hello can't be told from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.protocols.client_offer import Offer
from exporter.protocols.tls_extensions import (
    EARLY_DATA,
    EC_POINT_FORMATS,
    ENCRYPT_THEN_MAC,
    EXTENDED_MASTER_SECRET,
    HEARTBEAT,
    KEY_SHARE,
    PADDING,
    PRE_SHARED_KEY,
    RENEGOTIATION_INFO,
    SERVER_NAME,
    SIGNATURE_ALGORITHMS,
    SIGNATURE_ALGORITHMS_CERT,
    SUPPORTED_GROUPS,
)
from exporter.protocols.tls_names import is_grease
from exporter.vocabulary import ClientFamily

#: TLS 1.3 has suites of its own, which stacks put before or behind the others.
_TLS13_SUITES = range(0x1301, 0x1308)
#: Extensions that depend on the connection, or stand at another place from one release of a stack to the next.
_COME_AND_GO = frozenset({SERVER_NAME, PADDING, PRE_SHARED_KEY, EARLY_DATA, RENEGOTIATION_INFO, 0x2C})
_SCSV = frozenset({0x00FF, 0x5600})
#: Apple's order until 2015 (KnownCipherSuites of its coretls): by key exchange, each from AES 256 down to 3DES.
_CORETLS_SUITES = (
    0xC02C, 0xC02B, 0xC024, 0xC023, 0xC00A, 0xC009, 0xC008, 0xC030, 0xC02F, 0xC028, 0xC027, 0xC014, 0xC013, 0xC012,
    0xC026, 0xC025, 0xC005, 0xC004, 0xC003, 0xC02A, 0xC029, 0xC00F, 0xC00E, 0xC00D, 0x9F, 0x9E, 0x6B, 0x67, 0x39, 0x33,
    0x16, 0x9D, 0x9C, 0x3D, 0x3C, 0x35, 0x2F, 0x0A, 0xC007, 0xC011, 0xC002, 0xC00C, 5, 4,
)  # fmt: skip
#: BoringSSL's until 2021 (ssl/t1_lib.cc), what Chromium builds in; it leads with renegotiation_info or server_name.
_OLDER_BORINGSSL = (23, 35, 13, 5, 18, 16, 30032, 11, 51, 45, 43, 10, 27)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What tells a family. GREASE is left out of all lists, and a criterion that is empty isn't looked at.

    `first_suites`: those of TLS 1.2 begin so; `first_signatures`: the signature algorithms do. `suites`, `signatures`,
    `extensions`: all that is offered is among these, in this order. `beside`: signature algorithms next to each other.
    `required`, `absent`: extensions. `point_formats`: content of that extension.
    """

    family: ClientFamily
    basis: str
    greased: bool
    first_suites: tuple[int, ...] = ()
    suites: tuple[int, ...] = ()
    signatures: tuple[int, ...] = ()
    first_signatures: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()
    extensions: tuple[int, ...] = ()
    required: frozenset[int] = frozenset()
    absent: frozenset[int] = frozenset()
    point_formats: bytes = b""


DESCRIPTIONS = (
    Description(
        family=ClientFamily.OPENSSL,
        basis="measured: OpenSSL 3.0 (s_client, Python's ssl, curl, Node 20) and the one inside cryptography's wheels; "
        "order of ext_defs in ssl/statem/extensions.c, alike since 1.1.0",
        greased=False,
        extensions=(1, 12, 11, 10, 35, 5, 13172, 16, 14, 22, 18, 23, 50, 49, 13, 43, 45, 51, 27, 47),
        required=frozenset({EC_POINT_FORMATS, SUPPORTED_GROUPS, EXTENDED_MASTER_SECRET, SIGNATURE_ALGORITHMS}),
    ),
    Description(
        family=ClientFamily.OPENSSL,
        basis="published: OpenSSL 1.0.1 and 1.0.2, JA3 with extensions 0-11-10-35-13-15 and point formats 0-1-2",
        greased=False,
        extensions=(1, 12, 11, 10, 35, 13, 5, 15, 13172, 16, 14),
        required=frozenset({EC_POINT_FORMATS, SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS, HEARTBEAT}),
        absent=frozenset({EXTENDED_MASTER_SECRET, ENCRYPT_THEN_MAC}),
        point_formats=b"\3\0\1\2",
    ),
    Description(
        family=ClientFamily.NSS,
        basis="measured: Thunderbird 153, NSS 3.87 (tstclnt); published: Firefox to 148, JA4 t13d1717h2_5b57614c22b0_*",
        greased=False,
        first_suites=(0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0xC02C, 0xC030),
        suites=(
            0x1301, 0x1303, 0x1302, 0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0xC02C, 0xC030, 0xC00A, 0xC009, 0xC013, 0xC023,
            0xC027, 0xC014, 0x9E, 0xCCAA, 0x9F, 0x33, 0x32, 0x67, 0x39, 0x38, 0x6B, 0x16, 0x13, 0x9C, 0x9D, 0x2F, 0x3C,
            0x35, 0x3D, 0x0A, 0x05, 0x04,
        ),
        first_signatures=(0x0403, 0x0503, 0x0603),
        required=frozenset({SUPPORTED_GROUPS, EC_POINT_FORMATS, SIGNATURE_ALGORITHMS, RENEGOTIATION_INFO}),
    ),
    Description(
        family=ClientFamily.GNUTLS,
        basis="measured: GnuTLS 3.7.9 (gnutls-cli, wget)",
        greased=False,
        first_signatures=(0x0401, 0x0809, 0x0804, 0x0403, 0x0807, 0x0501),
        required=frozenset({SUPPORTED_GROUPS, EC_POINT_FORMATS}),
    ),
    Description(
        family=ClientFamily.JAVA,
        basis="measured: OpenJDK 17 (JSSE), TLS 1.2 and 1.3; order of sun.security.ssl.SSLExtension since JDK 11",
        greased=False,
        extensions=(1, 5, 10, 11, 16, 17, 23, 35, 13, 43, 45, 50, 51),
        required=frozenset({SUPPORTED_GROUPS, EXTENDED_MASTER_SECRET, SIGNATURE_ALGORITHMS, SIGNATURE_ALGORITHMS_CERT}),
    ),
    Description(
        family=ClientFamily.GO,
        basis="measured: Go 1.19; published: JA4 t13d190900_9dc949149365_97f8aa674fd9 (FoxIO's list)",
        greased=False,
        first_signatures=(0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603),
        required=frozenset({SUPPORTED_GROUPS, EC_POINT_FORMATS, RENEGOTIATION_INFO}),
    ),
    Description(
        family=ClientFamily.CHROMIUM,
        basis="measured: Chromium 156 (shuffled, post-quantum); published: Chrome, JA4 t13d1516h2_8daaf6152771_*",
        greased=True,
        first_suites=(0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014),
        signatures=(
            0x0904, 0x0905, 0x0906, 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201,
        ),
        required=frozenset({SUPPORTED_GROUPS, EC_POINT_FORMATS, EXTENDED_MASTER_SECRET, RENEGOTIATION_INFO, KEY_SHARE}),
    ),
    Description(
        family=ClientFamily.CHROMIUM,
        basis="published: Chrome on machines without AES instructions prefers ChaCha20 (ssl/ssl_cipher.cc)",
        greased=True,
        first_suites=(0xCCA9, 0xCCA8, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xC013, 0xC014),
        signatures=(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201),
        required=frozenset({SUPPORTED_GROUPS, EC_POINT_FORMATS, EXTENDED_MASTER_SECRET, RENEGOTIATION_INFO, KEY_SHARE}),
    ),
    Description(
        family=ClientFamily.CHROMIUM,
        basis="published: Chrome 55 to 69 and Electron to 4, TLS 1.2 at most; JA3 771,…,65281-0-23-35-13-5-18-16-…",
        greased=True,
        signatures=(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201),
        extensions=_OLDER_BORINGSSL,
        required=frozenset({SUPPORTED_GROUPS, EC_POINT_FORMATS, EXTENDED_MASTER_SECRET, RENEGOTIATION_INFO}),
        absent=frozenset({KEY_SHARE}),
    ),
    Description(
        family=ClientFamily.APPLE,
        basis="published: Safari 15 to 27 on macOS and iOS, JA4 t13d2014h2_a09f3c656075_14788d8d241b and "
        "t13d2013h2_a09f3c656075_7f0f34a4126d: 0805 twice in the signature algorithms; not measured",
        greased=True,
        first_suites=(0xC02C, 0xC02B, 0xCCA9, 0xC030, 0xC02F, 0xCCA8),
        signatures=(0x0403, 0x0804, 0x0401, 0x0503, 0x0203, 0x0805, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201),
        beside=(0x0805, 0x0805),
    ),
    Description(
        family=ClientFamily.APPLE,
        basis="published: Secure Transport of macOS and iOS 12, JA3 771,255-49196-49195-49188-49187-49162-49161-…; "
        "not measured",
        greased=False,
        first_suites=(0xC02C, 0xC02B, 0xC024, 0xC023, 0xC00A, 0xC009),
        suites=(
            0xC02C, 0xC02B, 0xC024, 0xC023, 0xC00A, 0xC009, 0xC008, 0xCCA9, 0xC030, 0xC02F, 0xC028, 0xC027, 0xC014,
            0xC013, 0xC012, 0xCCA8, 0x9D, 0x9C, 0x3D, 0x3C, 0x35, 0x2F, 0xC008, 0xC012, 0x0A,
        ),
    ),
    Description(
        family=ClientFamily.APPLE,
        basis="published: iOS 12 to 14, macOS 10.14 and 10.15, JA4 t13d2613h2_2802a3db6c62_845d286b0d67: 0805 twice, "
        "and no GREASE yet; not measured",
        greased=False,
        first_suites=(0xC02C, 0xC02B, 0xC024, 0xC023, 0xC00A, 0xC009),
        beside=(0x0805, 0x0805),
        required=frozenset({SUPPORTED_GROUPS, EC_POINT_FORMATS, SIGNATURE_ALGORITHMS, KEY_SHARE}),
    ),
    Description(
        family=ClientFamily.APPLE,
        basis="published: Secure Transport of OS X 10.10 and 10.11, iOS 8 and 9: 3DES behind each key exchange's AES, "
        "JA3 extensions 0-10-11-13-…; not measured",
        greased=False,
        first_suites=(0xC02C, 0xC02B, 0xC024, 0xC023, 0xC00A, 0xC009, 0xC008),
        suites=_CORETLS_SUITES,
        extensions=(10, 11, 13, 13172, 16, 5, 18, 23),
    ),
    Description(
        family=ClientFamily.APPLE,
        basis="published: Secure Transport of OS X 10.8 and 10.9, iOS 5 to 7: the same without GCM; not measured",
        greased=False,
        first_suites=(0xC024, 0xC023, 0xC00A, 0xC009, 0xC008, 0xC028, 0xC027),
        suites=_CORETLS_SUITES,
        extensions=(10, 11, 13, 13172, 16, 5, 18, 23),
    ),
    Description(
        family=ClientFamily.SCHANNEL,
        basis="published: Windows 10 and 11, Server 2022, JA4 t12d190800_d83cc789557e_7af1ed941c26 and "
        "t13d2013h1_2b729b4bf6f3_e24568c0d440; not measured",
        greased=False,
        first_suites=(0xC02C, 0xC02B, 0xC030, 0xC02F),
        suites=(
            0x1302, 0x1301, 0xC02C, 0xC02B, 0xC030, 0xC02F, 0x9F, 0x9E, 0xC024, 0xC023, 0xC028, 0xC027, 0xC00A, 0xC009,
            0xC014, 0xC013, 0x39, 0x33, 0x9D, 0x9C, 0x3D, 0x3C, 0x35, 0x2F, 0x0A, 0x6A, 0x40, 0x38, 0x32, 0x13, 5, 4,
        ),
        signatures=(
            0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0201, 0x0403, 0x0503, 0x0203, 0x0202, 0x0601, 0x0603,
        ),
        required=frozenset({SUPPORTED_GROUPS, EC_POINT_FORMATS, SIGNATURE_ALGORITHMS, RENEGOTIATION_INFO}),
    ),
)  # fmt: skip


class _Traits:
    """Of an offer, what descriptions speak of."""

    def __init__(self, offer: Offer) -> None:
        self.suites = [suite for suite in offer.ciphers if not is_grease(suite) and suite not in _SCSV]
        self.older_suites = [suite for suite in self.suites if suite not in _TLS13_SUITES]
        self.signatures = [algorithm for algorithm in offer.signature_algorithms if not is_grease(algorithm)]
        self.extensions = [kind for kind in offer.extensions if not is_grease(kind)]
        self.lasting = [kind for kind in self.extensions if kind not in _COME_AND_GO]
        self.greased = len(self.extensions) < len(offer.extensions) and any(map(is_grease, offer.ciphers))
        self.point_formats = offer.bodies.get(EC_POINT_FORMATS)


def family_of(offer: Offer) -> ClientFamily:
    """UNKNOWN where no description fits, or those of two families."""
    families = families_of(offer)
    return families.pop() if len(families) == 1 else ClientFamily.UNKNOWN


def families_of(offer: Offer) -> set[ClientFamily]:
    """All that fit."""
    traits = _Traits(offer)
    return {description.family for description in DESCRIPTIONS if _fits(traits, description)}


def _fits(traits: _Traits, wanted: Description) -> bool:
    """Whether every criterion holds."""
    return (
        wanted.greased == traits.greased
        and _begins(traits.older_suites, wanted.first_suites)
        and _begins(traits.signatures, wanted.first_signatures)
        and wanted.required.issubset(traits.extensions)
        and wanted.absent.isdisjoint(traits.extensions)
        and wanted.point_formats in (b"", traits.point_formats)
        and _keeps(traits.suites, wanted.suites)
        and _keeps(traits.signatures, wanted.signatures)
        and _keeps(traits.lasting, wanted.extensions)
        and _beside(traits.signatures, wanted.beside)
    )


def _begins(offered: list[int], first: tuple[int, ...]) -> bool:
    return tuple(offered[: len(first)]) == first


def _keeps(offered: Iterable[int], order: tuple[int, ...]) -> bool:
    """Whether all that is offered comes in this order, with any left out."""
    rest = iter(order)
    return not order or all(number in rest for number in offered)


def _beside(offered: list[int], run: tuple[int, ...]) -> bool:
    starts = range(len(offered) - len(run) + 1)
    return any(tuple(offered[start : start + len(run)]) == run for start in starts)
