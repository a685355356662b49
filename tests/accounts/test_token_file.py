"""The cache: whole after a kill at any moment, nobody else's to read, set aside when damaged, encrypted with a key."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.accounts import token_file
from exporter.accounts.token import Resource
from exporter.accounts.token_file import AccessToken, History, Stored, TokenFile, TokenFileError, default_path
from exporter.secret_files import Secret

KEY = Secret(b"0123456789abcdef0123456789abcdef")
STORED = Stored(
    refresh_token=Secret(b"M.C5_planted-refresh"),
    refresh_obtained_at=1_700_000_000.0,
    access={Resource.EXCHANGE: AccessToken(token=Secret(b"EwB-planted-access"), obtained_at=1.0, expires_at=3_601.0)},
    history=History(requests=(1.0, 2.0), failures=2, not_before=99.5, last_refresh=0.5),
    last_error="it is expired",
    last_error_at=2.0,
)


def told(stored: Stored) -> object:
    """Everything of it, secrets revealed, so that two can be compared."""
    access = {name: (each.token.reveal(), each.obtained_at, each.expires_at) for name, each in stored.access.items()}
    refresh = stored.refresh_token.reveal() if stored.refresh_token else None
    return refresh, stored.refresh_obtained_at, access, stored.history, stored.last_error, stored.last_error_at


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "state" / "box.token", "box")


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_what_is_written_is_read_again(tmp_path: Path, key: Secret | None):
    file = TokenFile(tmp_path / "box.token", "box", key)
    with file.locked():
        file.write(STORED)
    assert told(TokenFile(file.path, "box", key).read()) == told(STORED)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert (b"planted" in file.path.read_bytes()) is (key is None)


def test_no_file_yet_is_an_empty_cache(file: TokenFile):
    assert told(file.read()) == told(Stored())


def test_nothing_is_shown(file: TokenFile):
    assert "planted" not in repr(STORED)
    with file.locked():
        file.write(STORED)
    file.path.write_bytes(file.path.read_bytes()[:-20])
    with pytest.raises(TokenFileError) as raised:
        file.read()
    assert "planted" not in f"{raised.value!r} {raised.value.__cause__} {raised.value.__context__!r}"


def test_a_cache_that_others_can_read_is_refused(file: TokenFile):
    with file.locked():
        file.write(STORED)
    file.path.chmod(0o640)
    with pytest.raises(TokenFileError, match=r"box\.token: .*chmod 0600"):
        file.read()
    assert file.path.exists()


def test_a_directory_in_which_anyone_may_replace_it_is_refused(file: TokenFile):
    with file.locked():
        file.write(STORED)
    file.path.parent.chmod(0o777)
    with pytest.raises(TokenFileError, match="chmod o-w"):
        file.read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\x00\xff" * 50,
        b'{"version": 2}',
        b'{"version": 1, "refresh_token": 7}',
        b"[" * 99_999,
    ],
    ids=["empty", "cut", "null", "list", "binary", "version", "type", "deep"],
)
def test_a_damaged_cache_is_set_aside_and_the_way_back_is_named(file: TokenFile, content: bytes):
    with file.locked():
        file.write(STORED)
    file.path.write_bytes(content)
    with pytest.raises(TokenFileError, match=r"damaged.*set aside as box\.token\.damaged-.*login box"):
        file.read()
    [aside] = file.path.parent.glob("box.token.damaged-*")
    assert aside.read_bytes() == content
    assert told(file.read()) == told(Stored())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_cache_or_a_clear_error(content: bytes):
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"any-{os.getpid()}" / "box.token"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    try:
        with suppress(TokenFileError):
            TokenFile(path, "box").read()
    finally:
        for left in path.parent.iterdir():
            left.unlink()
        path.parent.rmdir()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "FIFO"])
def test_what_is_no_file_stays_where_it_is(tmp_path: Path, make: Callable[[Path], None]):
    """`token_cache: /var/lib/…` names the directory, easily."""
    file = TokenFile(tmp_path / "state", "box")
    make(file.path)
    with file.locked(), pytest.raises(TokenFileError, match="no regular file; name one"):
        file.read()
    assert file.path.exists()


def test_a_cache_too_large_to_be_one_is_set_aside_unread(file: TokenFile):
    with file.locked():
        file.write(STORED)
    with file.path.open("ab") as more:
        more.truncate(token_file.MAX_FILE + 1)
    with pytest.raises(TokenFileError, match="damaged"):
        file.read()


def test_without_its_key_an_encrypted_cache_stays_where_it_is(tmp_path: Path):
    sealed, bare = TokenFile(tmp_path / "a", "box", KEY), TokenFile(tmp_path / "a", "box")
    with sealed.locked():
        sealed.write(STORED)
    with pytest.raises(TokenFileError, match="encrypted, and the credential token-cache-key is missing"):
        bare.read()
    assert told(sealed.read()) == told(STORED)


def test_a_cache_sealed_for_another_account_or_changed_on_disk_isnt_believed(tmp_path: Path):
    with (mine := TokenFile(tmp_path / "a", "box", KEY)).locked():
        mine.write(STORED)
    changed = bytearray(mine.path.read_bytes())
    changed[-1] ^= 1
    for account, content in (("other", mine.path.read_bytes()), ("box", bytes(changed))):
        mine.path.touch(mode=0o600)
        mine.path.write_bytes(content)
        with pytest.raises(TokenFileError, match="damaged or of another key"):
            TokenFile(mine.path, account, KEY).read()


def test_a_key_too_short_to_be_one_is_refused(tmp_path: Path):
    with pytest.raises(TokenFileError, match="less than 16 bytes"):
        TokenFile(tmp_path / "a", "box", Secret(b"short"))


def test_a_full_or_read_only_disk_changes_nothing(file: TokenFile, monkeypatch: pytest.MonkeyPatch):
    with file.locked():
        file.write(STORED)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with file.locked(), pytest.raises(TokenFileError, match="No space left on device; nothing of it was changed"):
        file.write(replace(STORED, last_error="another"))
    monkeypatch.undo()
    assert told(file.read()) == told(STORED)
    assert {path.name for path in file.path.parent.iterdir()} == {"box.token", "box.token.lock"}


def test_only_one_holds_it_at_a_time(file: TokenFile):
    order: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with file.locked():
            inside.set()
            go_on.wait(5)
            order.append("first")

    def second() -> None:
        with TokenFile(file.path, "box").locked():
            order.append("second")

    one = threading.Thread(target=first)
    one.start()
    assert inside.wait(5)
    two = threading.Thread(target=second)
    two.start()
    go_on.set()
    one.join(5)
    two.join(5)
    assert order == ["first", "second"]


def test_a_lock_that_is_never_given_up_is_waited_for_only_so_long(file: TokenFile, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(token_file, "LOCK_SECONDS", 0.1)
    with file.locked(), pytest.raises(TokenFileError, match="another process"), TokenFile(file.path, "box").locked():
        pass


@pytest.mark.slow
def test_five_hundred_kills_at_any_moment_leave_a_whole_cache(tmp_path: Path):
    """What was said to be written is there: a kill loses at most the write under way."""
    file = TokenFile(tmp_path / "box.token", "box")
    kills = last = 0
    while kills < 500:
        # one interpreter serves many kills: each child is forked from it and writes until it is killed
        said = _killed_writers(tmp_path / "box.token", min(50, 500 - kills))
        for told_last, found in said:
            assert found >= told_last >= last or told_last == 0, (told_last, found, last)
            last = max(found, last)
        kills += len(said)
    assert int(file.read().refresh_token.reveal().split()[0]) >= last > 500  # type: ignore[union-attr]
    with file.locked():
        file.write(Stored())
    assert {path.name for path in tmp_path.iterdir()} == {"box.token", "box.token.lock"}, "leftovers are removed"


def _killed_writers(path: Path, count: int) -> list[tuple[int, int]]:
    """For each writer: the last number it said was written, and the number found in the file after its kill."""
    done = subprocess.run(
        [sys.executable, "-c", _PARENT, str(path), str(count)], capture_output=True, text=True, timeout=110, check=True
    )
    return [(int(told_last), int(found)) for told_last, found in map(str.split, done.stdout.splitlines())]


_PARENT = """
import os, random, signal, sys, time
from pathlib import Path
from exporter.accounts.token_file import Stored, TokenFile
from exporter.secret_files import Secret
path, count = Path(sys.argv[1]), int(sys.argv[2])
def number(stored):
    return int(stored.refresh_token.reveal().split()[0]) if stored.refresh_token else 0
for _ in range(count):
    begins, reader_writer = number(TokenFile(path, "box").read()), os.pipe()
    child = os.fork()
    if child == 0:
        file, n = TokenFile(path, "box"), begins
        while True:
            n += 1
            with file.locked():
                file.write(Stored(refresh_token=Secret((str(n) + " " + "x" * 20_000).encode())))
            os.write(reader_writer[1], (str(n) + "\\n").encode())
    os.close(reader_writer[1])
    first = os.read(reader_writer[0], 100)
    time.sleep(random.uniform(0, 0.01))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    rest = first
    while data := os.read(reader_writer[0], 65536):
        rest += data
    os.close(reader_writer[0])
    said = [int(line) for line in rest.decode().split("\\n")[:-1]]
    print(said[-1] if said else 0, number(TokenFile(path, "box").read()))
"""


def test_where_caches_are_when_the_configuration_doesnt_say():
    assert default_path("box", {"STATE_DIRECTORY": "/var/lib/oae:/x"}) == Path("/var/lib/oae/box.token")
    assert default_path("box", {"XDG_STATE_HOME": "/s"}) == Path("/s/outlook-auth-exporter/box.token")
    assert default_path("box", {"HOME": "/home/me"}) == Path("/home/me/.local/state/outlook-auth-exporter/box.token")
