"""Passwords: right ones once dear and then cheap, wrong ones always dear, unknown users as dear as known ones."""

import asyncio
import base64

import bcrypt
import pytest

from exporter.web import basic_auth
from exporter.web.basic_auth import MAX_REMEMBERED, Users, parse_basic


def stored(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()


USERS = {"prometheus": stored(b"right"), "admin": stored("über:geheim".encode())}


def basic(user: str, password: str | bytes) -> str:
    raw = password if isinstance(password, bytes) else password.encode()
    return "Basic " + base64.b64encode(user.encode() + b":" + raw).decode()


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that bcrypt was asked about."""
    asked: list[str] = []
    matches = basic_auth._matches

    def counting(password: bytes, stored: str) -> bool:
        asked.append(stored)
        return matches(password, stored)

    monkeypatch.setattr(basic_auth, "_matches", counting)
    return asked


async def test_the_right_password_is_verified_once(verified: list[str]) -> None:
    users = Users()
    for _ in range(3):
        assert await users.accept(USERS, basic("prometheus", "right"))
    assert len(verified) == 1
    assert await users.accept(USERS, basic("admin", "über:geheim"))


async def test_wrong_ones_are_verified_each_time(verified: list[str]) -> None:
    users = Users()
    for _ in range(2):
        assert not await users.accept(USERS, basic("prometheus", "wrong"))
    assert len(verified) == 2


async def test_an_unknown_user_costs_a_verification_too(verified: list[str]) -> None:
    assert not await Users().accept(USERS, basic("nobody", "right"))
    assert not await Users().accept(USERS, basic("nobody", ""))
    assert len(verified) == 2
    assert all(fake[:7] == USERS["prometheus"][:7] and fake not in USERS.values() for fake in verified)


async def test_a_changed_hash_forgets_the_old_password(verified: list[str]) -> None:
    users = Users()
    assert await users.accept(USERS, basic("prometheus", "right"))
    assert not await users.accept({"prometheus": stored(b"new")}, basic("prometheus", "right"))


async def test_a_remembered_password_is_good_for_its_user_alone() -> None:
    users = Users()
    assert await users.accept(USERS, basic("prometheus", "right"))
    assert not await users.accept(USERS, basic("admin", "right"))


async def test_what_is_remembered_is_bounded() -> None:
    users = Users()
    for number in range(MAX_REMEMBERED + 3):
        name = f"user{number}"
        assert await users.accept({name: USERS["prometheus"]}, basic(name, "right"))
    assert len(users._remembered) == MAX_REMEMBERED


async def test_verifications_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    def slow(password: bytes, stored: str) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        bcrypt.checkpw(b"x", USERS["prometheus"].encode())
        running -= 1
        return False

    monkeypatch.setattr(basic_auth, "_matches", slow)
    users = Users()
    await asyncio.gather(*(users.accept(USERS, basic("prometheus", str(number))) for number in range(8)))
    assert most == 1


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", "Bearer abc", "Basic " + base64.b64encode(b"nocolon").decode(), "Basic \xff",
     "Basic " + base64.b64encode(b"\xff:x").decode()],
)  # fmt: skip
async def test_a_malformed_header_is_refused(header: str) -> None:
    assert parse_basic(header) is None
    assert not await Users().accept(USERS, header)


@pytest.mark.parametrize("password", [b"", b"\x00", b"x" * 5000, b"\xff\xfe"])
async def test_any_bytes_may_be_tried(password: bytes) -> None:
    assert not await Users().accept(USERS, basic("prometheus", password))


async def test_a_long_password_is_cut_as_bcrypt_always_did() -> None:
    users = {"long": stored(b"x" * 72)}
    assert await Users().accept(users, basic("long", "x" * 90))
