"""One stream of bytes, given to a reader in pieces."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Protocol

from hypothesis import strategies as st

from exporter.protocols.lines import ProtocolViolation


class Reader(Protocol):
    def feed(self, data: bytes) -> None: ...
    @property
    def pending(self) -> bytes: ...


def read(reader: Reader, take: Callable[[], Any], pieces: Iterable[bytes]) -> tuple[list[Any], str | None]:
    """All that comes out, and the violation's detail that ends it, if one does (and stays)."""
    taken: list[Any] = []
    for piece in pieces:
        reader.feed(piece)
        items, violation = _taken(take)
        taken += items
        if violation is not None:
            assert [_taken(take) for _ in range(2)] == [([], violation)] * 2, "a violation stays"
            return taken, violation
    return taken, None


def _taken(take: Callable[[], Any]) -> tuple[list[Any], str | None]:
    items: list[Any] = []
    try:
        while (item := take()) is not None:
            items.append(item)
    except ProtocolViolation as violation:
        return items, violation.detail
    return items, None


def endless(reader: Reader, take: Callable[[], Any], piece: bytes, times: int = 100_000) -> tuple[int, str | None]:
    """The most bytes that were pending while the piece was repeated, and the violation that ended it."""
    most = 0
    for _ in range(times):
        reader.feed(piece)
        items, violation = _taken(take)
        assert items == []
        most = max(most, len(reader.pending))
        if violation is not None:
            return most, violation
    return most, None


def bytewise(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The pieces between the places."""
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(bounds)]


places = st.lists(st.integers(0, 10_000), max_size=8)
#: Bytes that look like the protocols now and then, so that more than the first byte is tried.
garbage = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"\r\n", b"\n", b"* OK ", b"* BYE ", b"+ ", b"+OK ", b"-ERR ", b"220 ", b"250-", b"535 5.7.3 ", b"a1 NO ",
             b"{5}\r\n", b"{99999999999}\r\n", b"* LIST ", b".\r\n", b"..", b"\0", b"\x15\x03\x03", b"[CAPABILITY "]
        ),
    ),
    max_size=12,
).map(b"".join)  # fmt: skip
