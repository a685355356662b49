"""Servers that exclude each other as packages: unpacked into a cache folder, run in a mount namespace of their own.

`apt-get download` and `dpkg -x` install nothing and replace nothing. Programs with fixed paths then see the unpacked
trees laid over /usr and /etc, in a namespace that ends with them.
"""

import os
import shlex
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("CORPUS_CACHE", "/tmp/inference-cache"))

#: What each server needs that Debian's base doesn't have, by its name here.
PACKAGES = {
    "courier": (
        "courier-imap", "courier-pop", "courier-base", "courier-authlib", "courier-authlib-userdb", "libcourier-unicode4",
        "libgamin0", "libpcre3", "libidn12", "libltdl7",
    ),
    "cyrus": ("cyrus-imapd", "cyrus-pop3d", "cyrus-common", "cyrus-admin", "libcyrus-imap-perl", "libpcre3", "libical3",
              "libxapian30", "libwrap0", "libzephyr4", "sasl2-bin", "libsasl2-modules"),
    "exim": ("exim4-daemon-light", "exim4-base", "libgnutls-dane0"),
}  # fmt: skip


def unpacked(server: str) -> Path:
    """The server's tree; fetched on the first call."""
    tree = CACHE / server
    if not tree.exists():
        archives = CACHE / "archives" / server
        archives.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", *PACKAGES[server]], cwd=archives, check=True, timeout=300)
        for archive in sorted(archives.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(archive), str(tree)], check=True, timeout=60)
    return tree


def inside(tree: Path, directory: Path, script: str) -> list[str]:
    """A command that runs a shell script with the tree laid over /usr and /etc, /run and /var/lib/cyrus fresh."""
    for each in ("etc", "work", "usr", "work-usr"):
        (directory / "overlay" / each).mkdir(parents=True)
    upper = directory / "overlay"
    mounts = [
        f"mount -t tmpfs none {upper}/../tmpfs",
        f"mkdir -p {upper}/../tmpfs/e {upper}/../tmpfs/ew",
        f"mount -t overlay none -o lowerdir={tree}/usr:/usr /usr",
        f"mount -t overlay none -o lowerdir={tree}/etc:/etc,upperdir={upper}/../tmpfs/e,workdir={upper}/../tmpfs/ew /etc",
        "mount -t tmpfs none /run",
    ]
    (directory / "tmpfs").mkdir()
    text = "set -e\n" + "\n".join(mounts) + "\n" + script
    # a process namespace as well: what daemonizes ends with the shell
    return ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", text]


def quoted(value: object) -> str:
    return shlex.quote(str(value))
