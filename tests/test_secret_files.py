"""Secrets: from files that nobody else can read, into values that never show themselves."""

import copy
import os
import pickle
import struct
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.secret_files import (
    MAX_SECRET,
    Secret,
    SecretFileError,
    access_problem,
    acl_lets_others_read,
    locate,
    read_key,
    read_secret,
    reference_problem,
)

PLANTED = "hunter2-Q~planted"


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{PLANTED}\n")
    path.chmod(0o600)
    return path


def acl(*entries):
    """system.posix_acl_access: (tag, permissions, id) each."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NOBODY = 0xFFFFFFFF


class TestSecret:
    def test_only_reveal_shows_it(self):
        secret = Secret(PLANTED.encode())
        shown = [
            repr(secret),
            str(secret),
            f"{secret}",
            f"{secret:>40}",
            f"{secret!r:>40}",
            repr([secret]),
        ]
        assert not any(PLANTED in text for text in shown)
        assert secret.reveal() == PLANTED
        assert secret.reveal_bytes() == PLANTED.encode()

    def test_it_is_neither_pickled_nor_copied_nor_listed(self):
        secret = Secret(PLANTED.encode())
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy, vars):
            with pytest.raises(TypeError) as raised:
                attempt(secret)
            assert PLANTED not in str(raised.value)


class TestReference:
    @pytest.mark.parametrize("reference", ["/run/secrets/a", "relay", "relay.pem", "a-b_c@d"])
    def test_good(self, reference):
        assert reference_problem(reference) is None

    @pytest.mark.parametrize(
        "reference", ["", ".", "..", "a/b", "../a", "/run/../etc/shadow", "/a\0b", "Ab8Q~secret", "a b"]
    )
    def test_refused_without_being_quoted(self, reference):
        problem = reference_problem(reference)
        assert problem is not None
        assert len(reference) < 3 or reference not in problem

    def test_a_name_stands_under_the_credentials_directory(self):
        env = {"CREDENTIALS_DIRECTORY": "/run/credentials/unit"}
        assert str(locate("relay", env)) == "/run/credentials/unit/relay"
        assert str(locate("/etc/relay", env)) == "/etc/relay"

    def test_a_name_without_that_directory(self):
        with pytest.raises(SecretFileError, match="CREDENTIALS_DIRECTORY is not set"):
            locate("relay", {})

    @given(st.text())
    def test_any_reference_is_a_path_or_a_secret_file_error(self, reference):
        try:
            path = locate(reference, {"CREDENTIALS_DIRECTORY": "/run/credentials/unit"})
        except SecretFileError:
            return
        assert path.is_absolute()
        assert ".." not in path.parts


class TestRead:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
    def test_line_ends_behind_it_are_no_part_of_it(self, secret_file, end):
        secret_file.write_bytes(PLANTED.encode() + end.encode())
        assert read_secret(secret_file).reveal() == PLANTED

    def test_a_key_may_be_any_bytes(self, secret_file):
        key = bytes(range(128, 160))
        secret_file.write_bytes(key + b"\n")
        assert read_key(secret_file).reveal_bytes() == key
        with pytest.raises(SecretFileError, match="not UTF-8"):
            read_secret(secret_file)
        secret_file.write_bytes(b"\n")
        with pytest.raises(SecretFileError, match="empty"):
            read_key(secret_file)

    def test_blanks_are(self, secret_file):
        secret_file.write_text(" a b \n")
        assert read_secret(secret_file).reveal() == " a b "

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o440, 0o444])
    def test_readable_by_group_or_others(self, secret_file, mode):
        secret_file.chmod(mode)
        with pytest.raises(SecretFileError, match="chmod 0600"):
            read_secret(secret_file)
        assert "chmod 0600" in (access_problem(secret_file) or "")

    @pytest.mark.parametrize("mode", [0o600, 0o400])
    def test_readable_by_its_owner(self, secret_file, mode):
        secret_file.chmod(mode)
        assert read_secret(secret_file).reveal() == PLANTED
        assert access_problem(secret_file) is None

    def test_a_link_is_judged_by_what_it_leads_to(self, secret_file, tmp_path):
        link = tmp_path / "link"  # as Kubernetes mounts secrets
        link.symlink_to(secret_file)
        assert read_secret(link).reveal() == PLANTED
        secret_file.chmod(0o644)
        with pytest.raises(SecretFileError, match="chmod 0600"):
            read_secret(link)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "empty"),
            (b"\n\n", "empty"),
            (b"a" * (MAX_SECRET + 1), "larger than"),
            (b"\xff\xfe" + PLANTED.encode(), "not UTF-8"),
            (PLANTED.encode() + b"\nMAIL FROM:<x>", "more than one line"),
            (PLANTED.encode() + b"\0", "more than one line"),
        ],
    )
    def test_content_that_is_no_secret(self, secret_file, content, words):
        secret_file.write_bytes(content)
        with pytest.raises(SecretFileError, match=words) as raised:
            read_secret(secret_file)
        assert PLANTED not in "".join(traceback.format_exception(raised.value))
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__ or raised.value.__context__ is None

    def test_a_key_has_lines(self, secret_file):
        secret_file.write_text("-----BEGIN\nabc\n-----END\n")
        assert read_secret(secret_file, multiline=True).reveal_bytes() == b"-----BEGIN\nabc\n-----END"

    def test_absent(self, tmp_path):
        with pytest.raises(SecretFileError, match="doesn't exist") as raised:
            read_secret(tmp_path / PLANTED)
        assert PLANTED not in str(raised.value)
        assert access_problem(tmp_path / PLANTED) is None

    def test_a_directory(self, tmp_path):
        with pytest.raises(SecretFileError, match="not a regular file"):
            read_secret(tmp_path)
        assert "not a regular file" in (access_problem(tmp_path) or "")

    def test_a_fifo_does_not_hold_us(self, tmp_path):
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo, 0o600)
        with pytest.raises(SecretFileError, match="not a regular file"):
            read_secret(fifo)

    def test_a_path_through_a_file(self, secret_file):
        with pytest.raises(SecretFileError, match="doesn't exist"):
            read_secret(secret_file / "below")


class TestAccessList:
    """systemd lets a service's user read a credential by an ACL: stat() then shows 0440."""

    SYSTEMD = ((USER_OBJ, 4, NOBODY), (USER, 4, 990), (GROUP_OBJ, 0, NOBODY), (MASK, 4, NOBODY), (OTHER, 0, NOBODY))

    def test_the_service_user_alone(self):
        assert not acl_lets_others_read(acl(*self.SYSTEMD), frozenset({0, 990}))

    def test_another_user(self):
        assert acl_lets_others_read(acl(*self.SYSTEMD), frozenset({0, 991}))

    @pytest.mark.parametrize("tag", [GROUP_OBJ, GROUP])
    def test_a_group(self, tag):
        assert acl_lets_others_read(acl(*self.SYSTEMD, (tag, 4, 50)), frozenset({0, 990}))

    def test_a_group_that_the_mask_stops(self):
        assert not acl_lets_others_read(acl((GROUP, 4, 50), (MASK, 0, NOBODY), (OTHER, 0, NOBODY)), frozenset({0}))

    def test_others_are_not_masked(self):
        assert acl_lets_others_read(acl((MASK, 0, NOBODY), (OTHER, 4, NOBODY)), frozenset({0}))

    @pytest.mark.parametrize("damaged", [b"", b"\2\0\0", b"\1\0\0\0", b"\2\0\0\0\1"])
    def test_one_not_understood_lets_them(self, damaged):
        assert acl_lets_others_read(damaged, frozenset({0}))

    def test_on_a_real_file(self, secret_file):
        entries = [(tag, mode, os.geteuid() if tag == USER else who) for tag, mode, who in self.SYSTEMD]
        try:
            os.setxattr(secret_file, "system.posix_acl_access", acl(*entries))
        except OSError as error:
            pytest.skip(f"this file system has no ACLs: {error.strerror}")
        assert secret_file.stat().st_mode & 0o777 == 0o440
        assert read_secret(secret_file).reveal() == PLANTED
