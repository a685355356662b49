"""Why a file can't be used, in words: a command of root's has no right to the files of the service's user."""

import errno
import os
import pwd
from pathlib import Path


def why(error: OSError, path: Path) -> str:
    """What the kernel said of `path`, and whose command it would have to be."""
    words = error.strerror or str(error)
    owner = _owner(path)
    if error.errno not in (errno.EACCES, errno.EPERM) or owner in (None, os.geteuid()):
        return words
    return f"{words}; it belongs to {_name(owner)}: run this command as that user (docs/accounts.md)"


def _owner(path: Path) -> int | None:
    """Whose the file is, or the nearest directory above it that can be seen."""
    for place in (path, *path.parents):
        try:
            return place.stat().st_uid
        except OSError:
            continue
    return None


def _name(number: int | None) -> str:
    try:
        return pwd.getpwuid(number or 0).pw_name
    except KeyError:
        return f"user {number}"
