"""What can still be done from inside the sandbox, tried from inside it: as root would start it, and as a user would."""

import errno
import json
import mmap
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.capabilities import held_capabilities
from exporter.wire.sandbox import CAP_NET_RAW, NOBODY, Seccomp, enter, system_call_filter
from tests.probe.namespaces import root
from tests.wire.bpf_machine import run

ALLOW, EPERM, KILL = 0x7FFF0000, 0x00050001, 0x80000000


def tried(action):
    """What came of it: "done", or the error's name."""
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def in_sandbox(*actions, keep_raw=True):
    """Each action's fate, tried in a child that has entered; and what `enter` said."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            state = enter(keep_raw=keep_raw)
            os.write(writing, json.dumps([state.name, *(tried(action) for action in actions)]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read()
    assert os.waitpid(pid, 0)[1] == 0, said
    state, *fates = json.loads(said)
    assert state == Seccomp.IN_FORCE.name
    return fates


def make_socket(family, kind=socket.SOCK_STREAM):
    return lambda: socket.socket(family, kind).close()


class TestFromInside:
    def test_no_socket_to_anywhere(self):
        refused = in_sandbox(
            make_socket(socket.AF_INET),
            make_socket(socket.AF_INET, socket.SOCK_DGRAM),
            make_socket(socket.AF_INET6),
            make_socket(socket.AF_UNIX),
            make_socket(socket.AF_NETLINK, socket.SOCK_RAW),
            lambda: socket.socketpair(),
            keep_raw=False,
        )
        assert refused == ["EPERM"] * 6

    def test_no_packet_socket_without_the_right(self):
        assert in_sandbox(make_socket(socket.AF_PACKET, socket.SOCK_RAW), keep_raw=False) == ["EPERM"]

    @root
    def test_a_packet_socket_with_it(self):
        assert in_sandbox(make_socket(socket.AF_PACKET, socket.SOCK_RAW), make_socket(socket.AF_INET)) == [
            "done",
            "EPERM",
        ]

    def test_no_file_is_written_read_or_changed(self, tmp_path):
        secret = tmp_path / "token-cache"
        secret.write_text("refresh token")
        secret.chmod(0o644)  # not even where permissions would allow
        tmp_path.chmod(0o777)
        fates = in_sandbox(
            lambda: secret.read_text(),
            lambda: (tmp_path / "new").write_text("x"),
            lambda: os.open(tmp_path, os.O_RDONLY),
            lambda: os.unlink(secret),
            lambda: os.rename(secret, tmp_path / "other"),
            lambda: os.chmod(secret, 0o777),
            lambda: os.symlink("x", tmp_path / "link"),
            lambda: os.mkdir(tmp_path / "directory"),
            lambda: os.listdir(tmp_path),
            lambda: os.stat(secret),
        )
        assert fates == ["EPERM"] * len(fates)
        assert [path.name for path in tmp_path.iterdir()] == ["token-cache"]

    def test_no_program_process_or_signal(self):
        fates = in_sandbox(
            lambda: os.execv("/bin/true", ["true"]),
            lambda: os.fork() or os._exit(0),
            lambda: os.kill(os.getppid(), 0),
            lambda: os.setuid(0),
            lambda: os.chroot("/"),
            lambda: os.pipe(),
            lambda: os.nice(1),
        )
        assert fates == ["EPERM"] * len(fates)

    def test_memory_is_bounded(self):
        def too_much():
            try:
                mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE)
            except (OSError, MemoryError):
                raise OSError(errno.ENOMEM, "") from None

        assert in_sandbox(lambda: bytes(100 << 20), too_much) == ["done", "ENOMEM"]

    def test_what_it_lives_on_works(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def talk():
            poll = select.poll()
            poll.register(theirs, select.POLLIN)
            poll.poll(0)
            theirs.send(b"hello")
            theirs.setblocking(False)
            with pytest.raises(BlockingIOError):
                theirs.recv(10)

        with ours, theirs:
            fates = in_sandbox(
                talk, lambda: time.sleep(0.001), lambda: os.urandom(16), lambda: mmap.mmap(-1, 1 << 20).close(),
                lambda: os.getpid() or os.getuid(), lambda: [bytearray(n) for n in range(0, 1 << 20, 4_096)] and None,
            )  # fmt: skip
            assert fates == ["done"] * len(fates)
            assert ours.recv(10) == b"hello"


class TestWhatIsGivenUp:
    def status(self, keep_raw):
        """/proc/self/status, read from outside while it waits inside."""
        reading, writing = os.pipe()
        held, release = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.environ["SECRET_OF_SOMEBODY"] = "hunter2"
                enter(keep_raw=keep_raw)
                os.write(writing, b"in")
                os.read(held, 1)
            finally:
                os._exit(0)
        try:
            assert os.read(reading, 2) == b"in"
            lines = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
            )
            environment = Path(f"/proc/{pid}/environ").read_bytes() if os.geteuid() == 0 else b""
            limits = Path(f"/proc/{pid}/limits").read_text()
            return lines, environment, limits, held_capabilities(pid)
        finally:
            os.write(release, b"x")
            os.waitpid(pid, 0)
            for descriptor in (reading, writing, held, release):
                os.close(descriptor)

    @root
    @pytest.mark.parametrize("keep_raw", [True, False])
    def test_of_root(self, keep_raw):
        lines, environment, limits, capabilities = self.status(keep_raw)
        assert lines["Uid"].split() == lines["Gid"].split() == [str(NOBODY)] * 4
        assert lines["Groups"].strip() == ""
        assert lines["NoNewPrivs"] == "1"
        assert lines["Seccomp"] == "2"
        assert capabilities == (1 << CAP_NET_RAW if keep_raw else 0)
        assert lines["CapBnd"].strip("0") == ""
        assert environment.strip(b"\0") == b""
        for name in ("Max file size", "Max core file size", "Max processes"):
            assert next(line for line in limits.splitlines() if line.startswith(name)).split()[-3] == "0", name

    def test_of_a_user(self):
        """In a process of its own, which is nobody already: nothing to give up, and nothing breaks."""
        program = (
            "import os; from exporter.wire.sandbox import enter; from exporter.capabilities import held_capabilities\n"
            "uid = os.getuid(); print(enter(keep_raw=True).name, uid == os.getuid(), flush=True)"
        )
        command = (
            ["unshare", "--user", sys.executable, "-c", program]
            if os.geteuid() == 0
            else [sys.executable, "-c", program]
        )
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=20)
        assert done.stdout.split() == ["IN_FORCE", "True"], done.stderr


class TestTheFilter:
    def answer(self, machine, number, *, audit, argument=0, families=(socket.AF_PACKET,)):
        program = system_call_filter(machine, families)
        assert program is not None
        data = b"".join(word.to_bytes(4) for word in (number, audit, 0, 0, argument, 0))
        return run(program, data)

    @pytest.mark.parametrize(
        ("machine", "audit", "read", "openat", "execve", "socket_"),
        [("x86_64", 0xC000003E, 0, 257, 59, 41), ("aarch64", 0xC00000B7, 63, 56, 221, 198)],
    )
    def test_by_number(self, machine, audit, read, openat, execve, socket_):
        assert self.answer(machine, read, audit=audit) == ALLOW
        for number in (openat, execve, 0xFFF):
            assert self.answer(machine, number, audit=audit) == EPERM
        assert self.answer(machine, socket_, audit=audit, argument=socket.AF_PACKET) == ALLOW
        assert self.answer(machine, socket_, audit=audit, argument=socket.AF_INET) == EPERM
        assert self.answer(machine, socket_, audit=audit, argument=socket.AF_PACKET, families=()) == EPERM

    def test_another_architectures_calls_end_the_process(self):
        assert self.answer("x86_64", 0, audit=0x40000003) == KILL  # i386's numbers
        assert self.answer("x86_64", 0x40000000, audit=0xC000003E) == KILL  # x32's

    def test_where_numbers_are_not_known(self):
        assert system_call_filter("riscv64", ()) is None
