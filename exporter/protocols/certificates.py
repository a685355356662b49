"""Who issued the certificate that a server shows in clear (up to TLS 1.2), read from its DER without a library.

The bytes come from anybody, so nothing but the way to the issuer is walked, and no crypto library sees them. Where the
certificate is cut behind its issuer, which stands within its first bytes, that is enough. Nothing here raises.
"""

from functools import lru_cache

from exporter.protocols.tls_records import HandshakeType

#: Attribute types that RFC 4514, 3 writes by a short name; the others by their number.
_SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.6": "C",
    "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}
#: ASN.1 tags (X.690, 8.1.2).
_INTEGER, _OID, _SEQUENCE, _SET, _VERSION = 0x02, 0x06, 0x30, 0x31, 0xA0
_ENCODINGS = {0x1C: "utf-32-be", 0x1E: "utf-16-be"}  # UniversalString, BMPString
#: Attributes read of one name, and characters of its text. Genuine ones have under 10, and under 200.
MAX_ATTRIBUTES, MAX_TEXT = 32, 1_024
#: Bytes of a name that is read, and names that are remembered.
MAX_NAME, MAX_ISSUERS = 4_096, 256

_ESCAPED = frozenset('"+,;<>\\')


class _Damaged(Exception):
    """Not DER, or not enough of it."""


def leaf_issuer(message: bytes) -> str | None:
    """RFC 4514 text of the issuer of the first certificate in a Certificate message (RFC 5246, 7.4.2), or None."""
    if len(message) < 10 or message[0] != HandshakeType.CERTIFICATE:
        return None
    end = 10 + int.from_bytes(message[7:10])
    return issuer_of(message[10:end])


def issuer_of(certificate: bytes) -> str | None:
    """RFC 4514 text of the issuer of a DER certificate, None where that can't be read."""
    try:
        begin, _ = _enter(certificate, 0, _SEQUENCE)  # Certificate
        at, _ = _enter(certificate, begin, _SEQUENCE)  # TBSCertificate
        if certificate[at : at + 1] == bytes([_VERSION]):
            at = _enter(certificate, at, _VERSION)[1]
        at = _enter(certificate, at, _INTEGER)[1]  # serial number
        at = _enter(certificate, at, _SEQUENCE)[1]  # signature's algorithm
        begin, end = _enter(certificate, at, _SEQUENCE)
        return _issuer(certificate[begin:end]) if end <= min(len(certificate), begin + MAX_NAME) else None
    except (_Damaged, IndexError, UnicodeDecodeError):
        return None


@lru_cache(maxsize=MAX_ISSUERS)
def _issuer(name: bytes) -> str:
    """The same few issuers all day."""
    return _name(name, 0, len(name))


def _enter(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Begin and end of the content of the element at this place, which has to have that tag."""
    if data[at] != tag:
        raise _Damaged
    return _content(data, at)


def _content(data: bytes, at: int) -> tuple[int, int]:
    """Begin and end of an element's content (X.690, 8.1.3); lengths up to 2^24."""
    length, begin = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 3 or begin + count > len(data):
            raise _Damaged
        length = int.from_bytes(data[begin : begin + count])
        begin += count
    return begin, begin + length


def _name(data: bytes, at: int, end: int) -> str:
    """A Name, its last part first (RFC 4514, 2.1)."""
    if end > len(data):
        raise _Damaged
    parts: list[str] = []
    count = 0
    while at < end:
        inside, at = _enter(data, at, _SET)
        attributes = []
        while inside < at:
            begin, inside = _enter(data, inside, _SEQUENCE)
            attributes.append(_attribute(data, begin, inside))
            count += 1
            if count > MAX_ATTRIBUTES:
                raise _Damaged
        parts.append("+".join(attributes))
    if at != end:
        raise _Damaged
    return ",".join(reversed(parts))[:MAX_TEXT]


def _attribute(data: bytes, at: int, end: int) -> str:
    begin, at = _enter(data, at, _OID)
    kind = _dotted(data[begin:at])
    tag = data[at]
    begin, stop = _content(data, at)
    if stop != end:
        raise _Damaged
    return f"{_SHORT_NAMES.get(kind, kind)}={_escaped(_text(tag, data[begin:stop]))}"


def _dotted(encoded: bytes) -> str:
    """An object identifier (X.690, 8.19)."""
    numbers, number = [], 0
    for byte in encoded[:MAX_TEXT]:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        raise _Damaged
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _text(tag: int, value: bytes) -> str:
    if tag in _ENCODINGS:
        return value.decode(_ENCODINGS[tag])
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")  # T61String, as everybody used it


def _escaped(text: str) -> str:
    """RFC 4514, 2.4."""
    characters = ["\\" + c if c in _ESCAPED else "\\00" if c == "\0" else c for c in text]
    if text[:1] in ("#", " "):
        characters[0] = "\\" + text[0]
    if len(text) > 1 and text[-1] == " ":
        characters[-1] = "\\ "
    return "".join(characters)
