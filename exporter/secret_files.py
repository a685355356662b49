"""Reading a secret: only from a file, only one that nobody else can read, into a value that never shows itself.

A reference is an absolute path, or a name under `$CREDENTIALS_DIRECTORY` (systemd.exec(5), LoadCredential=).
No message here contains the reference or the content: what is pasted into the wrong key stays out of logs too.
"""

import errno
import os
import re
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

#: The largest secret read, bytes: room for a private key with its certificates.
MAX_SECRET = 65_536

#: A credential's name. Narrow on purpose: most generated secrets (`~`, `+`, `/`, `=`) don't pass for one.
_CREDENTIAL = re.compile(r"(?!\.\.?$)[A-Za-z0-9_.@-]{1,128}")

#: system.posix_acl_access (linux/posix_acl_xattr.h): version 2, then entries of tag, permissions, id.
_ACL_HEADER, _ACL_ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP_OBJ, _ACL_GROUP, _ACL_MASK, _ACL_OTHER = 0x02, 0x04, 0x08, 0x10, 0x20
_READ = 4


class SecretFileError(Exception):
    """A secret can't be had. The message says why and what to do, without naming file or value."""


class Secret:
    """A value that shows itself only to `reveal()`: not in repr, str, format, pickles or tracebacks."""

    __slots__ = ("__value",)

    def __init__(self, value: bytes) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The text. Keep it no longer than the call that needs it."""
        return self.__value.decode()

    def reveal_bytes(self) -> bytes:
        """The same as bytes, for keys in PEM."""
        return self.__value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("<secret>", spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def reference_problem(reference: str) -> str | None:
    """What is wrong with a reference as written, or None. Says nothing of the file."""
    if reference.startswith("/"):
        return "is not a usable path" if "\0" in reference or ".." in Path(reference).parts else None
    if _CREDENTIAL.fullmatch(reference):
        return None
    return "must be an absolute path, or a name under $CREDENTIALS_DIRECTORY; the secret itself belongs into that file"


def locate(reference: str, env: Mapping[str, str]) -> Path:
    """The path a reference stands for. Raises SecretFileError."""
    if problem := reference_problem(reference):
        raise SecretFileError(problem)
    if reference.startswith("/"):
        return Path(reference)
    directory = env.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise SecretFileError(
            "is a name, and $CREDENTIALS_DIRECTORY is not set; use LoadCredential= or an absolute path"
        )
    return Path(directory) / reference


def read_secret(path: Path, *, multiline: bool = False) -> Secret:
    """The secret a file holds (its path as `locate` gives it), UTF-8, without line ends behind it.

    Only keys are `multiline`: a line break inside a password would end a command of IMAP or SMTP.
    Raises SecretFileError.
    """
    content = read_key(path).reveal_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        # `from None`: the exception carries the bytes
        raise SecretFileError("the file is not UTF-8 text; write the secret as text, a key as PEM") from None
    if not multiline and any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise SecretFileError("the file holds more than one line; write only the secret into it")
    return Secret(content)


def read_key(path: Path) -> Secret:
    """The same of any bytes, for random ones. Raises SecretFileError."""
    content = _read(path).rstrip(b"\r\n")
    if not content:
        raise SecretFileError("the file is empty; write the secret into it")
    return Secret(content)


def access_problem(path: Path) -> str | None:
    """Why an existing file would be refused (who can read it, its size, its kind); None when it can't be told here."""
    try:
        descriptor = _open(path)
    except (OSError, ValueError):
        return None
    try:
        _check(descriptor)
    except SecretFileError as problem:
        return str(problem)
    finally:
        os.close(descriptor)
    return None


def _open(path: Path) -> int:
    """Non-blocking, so that a FIFO can't hold us."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


def _read(path: Path) -> bytes:
    try:
        descriptor = _open(path)
        try:
            _check(descriptor)
            # closefd: what isn't a file was refused above, before Python's own check could leave it open
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_SECRET + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SecretFileError(_words(error)) from None
    if len(content) > MAX_SECRET:
        raise SecretFileError(f"the file is larger than {MAX_SECRET} bytes; it can't be a secret")
    return content


def _words(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "the file named here doesn't exist; create it with mode 0600"
        case errno.EACCES | errno.EPERM:
            return "the file named here can't be read by this user; make the service's user its owner"
        case _:
            return f"the file named here can't be read ({errno.errorcode.get(error.errno or 0, 'unknown error')})"


def _check(descriptor: int) -> None:
    """Raises SecretFileError where an open file isn't fit for a secret."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise SecretFileError("what is named here is not a regular file")
    if status.st_size > MAX_SECRET:
        raise SecretFileError(f"the file is larger than {MAX_SECRET} bytes; it can't be a secret")
    if others_can_read(descriptor):
        raise SecretFileError("the file can be read by its group or by others; chmod 0600 it")


def others_can_read(descriptor: int) -> bool:
    """Whether an open file can be read by anyone but its owner, root and this process's user."""
    status = os.fstat(descriptor)
    return bool(status.st_mode & 0o044) and _read_by_others(descriptor, status)


def _read_by_others(descriptor: int, status: os.stat_result) -> bool:
    """Whether the group's or others' read bits mean what they say.

    systemd gives a credential to the service's user by an ACL; its mask then stands where the group's bits are,
    so that stat() shows 0440 for a file that only root and that user can read.
    """
    try:
        acl = os.getxattr(descriptor, "system.posix_acl_access")
    except OSError:  # none, or a file system without: the bits are the truth
        return True
    return acl_lets_others_read(acl, frozenset({0, status.st_uid, os.geteuid()}))


def acl_lets_others_read(acl: bytes, users: frozenset[int]) -> bool:
    """Whether anyone but `users` may read, by an ACL as system.posix_acl_access holds it; one not understood does."""
    if len(acl) < 4 or _ACL_HEADER.unpack_from(acl)[0] != 2 or (len(acl) - 4) % _ACL_ENTRY.size:
        return True
    entries = list(_ACL_ENTRY.iter_unpack(acl[4:]))
    mask = next((permissions for tag, permissions, _ in entries if tag == _ACL_MASK), 7)
    for tag, permissions, user in entries:
        masked = permissions if tag == _ACL_OTHER else permissions & mask
        foreign = tag in (_ACL_GROUP_OBJ, _ACL_GROUP, _ACL_OTHER) or (tag == _ACL_USER and user not in users)
        if foreign and masked & _READ:
            return True
    return False
