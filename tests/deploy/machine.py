"""A machine of one's own with systemd as its init: namespaces over this machine's files, of which none is changed.

What it writes stays in memory; its network is its own and leads nowhere; kernel settings other than its network's are
read-only, and no module can be loaded. It ends with its init, whatever runs in it, and that with whoever started it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import NOT_IN_CI, require_program
from tests.wire.test_process import children

#: What systemd starts by itself that a namespace has no use for.
_MASKED = (
    "systemd-udevd.service", "systemd-udev-trigger.service", "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket", "systemd-modules-load.service", "systemd-sysctl.service", "systemd-binfmt.service",
    "systemd-journald-audit.socket", "systemd-random-seed.service", "systemd-timesyncd.service", "dev-hugepages.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
    "proc-sys-fs-binfmt_misc.automount", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
    "e2scrub_all.timer", "fstrim.timer", "man-db.timer", "logrotate.timer", "systemd-tmpfiles-clean.timer",
)  # fmt: skip
#: Reaching beyond the namespaces: gone before the init begins.
_RIGHTS_GONE = "-sys_module,-sys_rawio,-sys_time,-sys_boot,-syslog,-mac_admin,-mac_override,-audit_control"
_TARGET = "[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n"

#: $D: an empty directory; $BINDS: lines `from to`, read-only.
_BEGIN = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$D"
mkdir -p "$D/upper/etc/systemd/system" "$D/work" "$D/root"
cp -a "$D.files/." "$D/upper/"
R="$D/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$D/upper,workdir=$D/work" "$R"
mount -t proc proc "$R/proc"
mount --bind "$R/proc/sys" "$R/proc/sys"
mount --bind "$R/proc/sys/net" "$R/proc/sys/net"
mount -o remount,bind,ro "$R/proc/sys"
mount -t sysfs -o ro sysfs "$R/sys"
mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
for each in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$R/$each"; done
chmod 1777 "$R/tmp"
mkdir "$R/dev/pts" "$R/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$R/dev/pts"
mount -t tmpfs tmpfs "$R/dev/shm"
ln -s pts/ptmx "$R/dev/ptmx"
ln -s /proc/self/fd "$R/dev/fd"
for each in null zero full random urandom tty; do : > "$R/dev/$each"; mount --bind "/dev/$each" "$R/dev/$each"; done
echo "$BINDS" | while read -r from to; do
    [ -z "$from" ] || { mkdir -p "$R$to"; mount --bind "$from" "$R$to"; mount -o remount,bind,ro "$R$to"; }
done
mkdir "$R/run/before"
cd "$R"
pivot_root . run/before
umount -l /run/before
mount --make-rshared /
hostname lab
ip link set lo up
echo begun
"""
_INIT = f"exec setpriv --bounding-set={_RIGHTS_GONE} env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin {{init}}"


class Machine:
    """`pid`: of its init, as seen from here."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def run(self, *words: str, timeout: float = 30.0, check: bool = True) -> str:
        """What a command on it prints. Fails the test where it fails."""
        command = ["nsenter", f"--target={self.pid}", "--all", "--wd=/", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Its output."""
        return self.run("systemctl", "--no-pager", *words, check=check)

    def journal(self, unit: str = "outlook-auth-exporter*") -> str:
        """What that unit has logged, or systemd of it."""
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit", unit, check=False)

    def processes(self, unit: str) -> list[int]:
        """Of a unit, as numbered here."""
        group = self.systemctl("show", "--property=ControlGroup", "--value", unit).strip()
        members = Path(f"/proc/{self.pid}/root/sys/fs/cgroup{group}/cgroup.procs").read_text()
        return sorted(map(int, members.split()))  # the kernel names a process as its reader knows it


@contextmanager
def machine(files: Mapping[str, str], binds: Mapping[Path, str]) -> Iterator[Machine]:
    """One that has come up. `files`: written on it, executable where they begin with #!; `binds`: directories of ours.

    Skips the test where the kernel doesn't let namespaces have what systemd needs.
    """
    init = require_program("/usr/lib/systemd/systemd", "systemd")
    directory = Path(tempfile.mkdtemp(prefix="oae-machine-", dir="/tmp"))
    prepared = Path(f"{directory}.files")
    _write(prepared, files)
    script = _BEGIN + _INIT.format(init=f"{init} --system --unit=lab.target --show-status=0")
    command = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup", "--kill-child",
               "bash", "-c", script]  # fmt: skip
    env = os.environ | {"D": str(directory), "BINDS": "\n".join(f"{here} {there}" for here, there in binds.items())}
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as outer:
            try:
                yield _come_up(outer)
            finally:
                if outer.poll() is None:
                    for pid in children(outer.pid):
                        os.kill(pid, signal.SIGKILL)  # an init's end is that of all in its namespace
                outer.wait(10)
    finally:
        directory.rmdir()  # what was mounted there was so in the machine's namespace alone
        shutil.rmtree(prepared)


def _write(directory: Path, files: Mapping[str, str]) -> None:
    for name, content in {"/etc/systemd/system/lab.target": _TARGET, **files}.items():
        path = directory / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755 if content.startswith("#!") else 0o644)
    for unit in _MASKED:
        (directory / "etc/systemd/system" / unit).symlink_to("/dev/null")


def _come_up(outer: "subprocess.Popen[str]") -> Machine:
    assert outer.stdout is not None
    if outer.stdout.readline() != "begun\n":
        _, said = outer.communicate(timeout=10)
        pytest.skip(f"{NOT_IN_CI}namespaces here can't have what systemd needs: {said.strip()}")
    (pid,) = children(outer.pid)
    made = Machine(pid)
    deadline = time.monotonic() + 60
    state = ""
    while time.monotonic() < deadline:
        state = made.systemctl("is-system-running", check=False).strip()
        if state in ("running", "degraded"):
            return made
        time.sleep(0.2)
    raise AssertionError(f"systemd is {state or 'silent'} after a minute")
