"""`inspect` as a program: what it prints, what it says of damage, how it ends."""

import gzip
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from exporter import inspect_command
from exporter.inspect_input import Reading, StoppedError
from exporter.observations import Connection, from_json
from exporter.vocabulary import ConnectionOutcome
from exporter.wire.tracker import TrackerConfig
from tests.wire.conversation import SECOND, START, Conversation
from tests.wire.conversation import inspect as inspected
from tests.wire.flights import healthy
from tests.wire.frames import RST, SYN, Frame, pcap, pcapng

COMMAND = [sys.executable, "-m", "exporter", "inspect"]


def inspect(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


def two_connections() -> list[Frame]:
    good = Conversation().opens().plays(healthy()).closes()
    refused = Conversation(client=("10.0.0.2", 5_000), server=("192.0.2.1", 993), now=good.now)
    return [*good.frames(), *refused.segment(True, SYN).segment(False, RST | 16, sequence=0).frames()]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    file = tmp_path / "capture.pcap"
    file.write_bytes(pcap(two_connections()))
    return file


# ---- what it prints ----------------------------------------------------------------------------------------------------


def test_json_lines_that_are_connections(capture: Path):
    done = inspect(capture, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = [from_json(Connection, line) for line in done.stdout.splitlines()]
    assert (first.outcome, first.target, first.sni) == (
        ConnectionOutcome.ESTABLISHED, "imap", "imap-mail.outlook.com",
    )  # fmt: skip
    assert (first.client, first.client_port, first.server, first.server_port) == ("10.0.0.1", 40_000, "192.0.2.1", 993)
    assert (second.outcome, second.client) == (ConnectionOutcome.REFUSED, "10.0.0.2")


def test_a_summary_is_the_last_line(capture: Path):
    *lines, last = inspect(capture, "--json", "--summary").stdout.splitlines()
    assert len(lines) == 2
    summary = json.loads(last)["summary"]
    assert summary["packets"] == len(two_connections())
    assert summary["connections"] == 2
    assert summary["outcomes"] == {"imap": {"established": 1, "refused": 1}}
    assert (summary["dropped"], summary["damaged"]) == (0, 0)


def test_a_table_for_people(capture: Path):
    text = inspect(capture).stdout.decode()
    header, first, second, *summary = text.splitlines()
    assert header.split()[:5] == ["time", "client", "server", "target", "outcome"]
    assert "10.0.0.1:40000" in first
    assert "imap-mail.outlook.com:993" in first
    assert "established" in first
    assert "refused" in second
    assert "2 connections" in summary[0]
    assert "\x1b" not in text  # colours are for terminals


def test_several_files_and_standard_input(capture: Path, tmp_path: Path):
    other = tmp_path / "other.pcapng.gz"
    other.write_bytes(gzip.compress(pcapng(two_connections())))
    done = inspect(capture, other, "-", "--json", "--summary", stdin=capture.read_bytes())
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["summary"]["connections"] == 6


def test_a_file_that_goes_on_where_the_one_before_ended(tmp_path: Path):
    """As `tcpdump -C` writes them: a connection may begin in one and end in the next."""
    frames = two_connections()
    for cut in (3, 7, 12):
        parts = [tmp_path / "one", tmp_path / "two"]
        parts[0].write_bytes(pcap(frames[:cut]))
        parts[1].write_bytes(pcap(frames[cut:]))
        outcomes = [json.loads(line)["outcome"] for line in inspect(*parts, "--json").stdout.splitlines()]
        assert outcomes == ["established", "refused"]


def test_losses_that_the_capturing_program_wrote_down(tmp_path: Path):
    from tests.wire.frames import block, option

    file = tmp_path / "lossy.pcapng"
    statistics = block(5, struct.pack("<III", 0, 0, 0) + option(5, struct.pack("<Q", 42)))
    file.write_bytes(pcapng(two_connections()) + statistics)
    assert json.loads(inspect(file, "--json", "--summary").stdout.splitlines()[-1])["summary"]["dropped"] == 42


def test_configured_targets_are_known(capture: Path, tmp_path: Path):
    config = tmp_path / "config.yml"
    config.write_text(
        "inspect: {servers: [192.0.2.0/24]}\nprobe: {custom: [{name: ours, protocol: imap, host: x.example, port: 993}]}\n"
    )
    named = tmp_path / "named.pcap"
    named.write_bytes(pcap(Conversation().opens().plays(healthy(name="x.example")).closes().frames()))
    done = inspect(named, "--config", config, "--json")
    assert json.loads(done.stdout)["target"] == "ours"
    config.write_text("inspect: {serverz: []}\n")
    assert inspect(named, "--config", config).returncode == 2


# ---- damage and misuse -------------------------------------------------------------------------------------------------


def test_everything_before_the_damage_then_a_warning_that_names_the_packet(capture: Path, tmp_path: Path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture.read_bytes()[:-30])
    done = inspect(cut, "--json", "--summary")
    assert done.returncode == 2
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["outcome"] == "established"
    assert lines[-1]["summary"]["damaged"] == 1
    (warning,) = done.stderr.decode().splitlines()
    assert f"packet {len(two_connections())}" in warning
    assert "cut.pcap" in warning


@pytest.mark.parametrize("data", [b"", b"hello\n" * 9, b"\x1f\x8b\x08 no gzip", b"PK\3\4"])
def test_what_is_no_capture(tmp_path: Path, data: bytes):
    file = tmp_path / "file"
    file.write_bytes(data)
    done = inspect(file, "--json")
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert "not a capture" in line


def test_one_bad_file_does_not_spoil_the_others(capture: Path, tmp_path: Path):
    bad = tmp_path / "bad"
    bad.write_bytes(b"nonsense" * 9)
    done = inspect(bad, capture, "--json")
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 2


def test_absent_files_and_no_files():
    absent = inspect("/nowhere/a.pcap", "/nowhere/b.pcap")
    assert absent.returncode == 2
    assert [line.split(":")[0] for line in absent.stderr.decode().splitlines()] == [
        "/nowhere/a.pcap",
        "/nowhere/b.pcap",
    ]
    assert inspect().returncode == 2
    directory = inspect("/tmp")
    assert directory.returncode == 2
    assert "Traceback" not in directory.stderr.decode()


def test_names_from_the_network_cannot_write_on_the_terminal(tmp_path: Path):
    file = tmp_path / "file"
    name = healthy()[0][1].replace(b"imap-mail.outlook.com", b"\x1b[2Jmail.outlook.co\xff\xfe")
    file.write_bytes(pcap(Conversation().opens().says(True, name).closes().frames()))
    for arguments in ([], ["--json"]):
        output = inspect(file, *arguments).stdout
        assert b"\x1b" not in output
        assert b"mail.outlook.co" in output


# ---- pipes and signals -------------------------------------------------------------------------------------------------


def test_lines_come_while_the_capture_goes_on():
    """As behind `tcpdump -w -`: a connection that ended is told before the pipe ends."""
    with subprocess.Popen([*COMMAND, "-", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pcap(two_connections()))
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["outcome"] == "established"
        child.stdin.close()
        assert child.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_what_was_seen(number: signal.Signals):
    frames = Conversation().opens().plays(healthy()).frames()
    with subprocess.Popen([*COMMAND, "-", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pcap([*two_connections(), *[(time + SECOND, data) for time, data, *_ in frames]]))
        child.stdin.flush()
        assert child.stdout.readline()
        assert child.stdout.readline()
        begun = time.monotonic()
        child.send_signal(number)
        rest = child.stdout.read()
        assert child.wait(20) == 130
        assert time.monotonic() - begun < 2
        assert json.loads(rest)["outcome"] == "established"


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path):
    file = tmp_path / "many.pcap"
    frames: list[Frame] = []
    for number in range(3_000):
        made = Conversation(client=("10.0.0.1", 1_024 + number), now=START + number * 1_000)
        frames += made.segment(True, SYN).segment(False, RST | 16, sequence=0).frames()
    file.write_bytes(pcap(frames))
    with subprocess.Popen([*COMMAND, str(file), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""


def test_progress_on_a_terminal(capture: Path):
    """On stderr alone, so that stdout stays what it is."""
    controller, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, str(capture), "--json"], stdout=subprocess.PIPE, stderr=terminal, timeout=60, check=False
        )
        os.close(terminal)
        shown = os.read(controller, 4_096)
    finally:
        os.close(controller)
    assert b"packets" in shown
    assert shown.endswith(b"\x1b[K")
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(("lines", "written"), [(2, [2, 2, 3]), (3, [0, 3, 3]), (64, [0, 0, 3])])
def test_lines_are_written_some_at_a_time_and_none_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: int, written: list[int]
):
    """How many lines are out after the second connection, the third, and the end."""
    monkeypatch.setattr(inspect_command, "LINES", lines)
    inspection = inspect_command.Inspection(TrackerConfig(everything=True), as_json=True, at_once=False)
    connections = inspected([frame for number in range(3) for frame in healthy_frames(number)])
    out = ""
    counts = []
    for number, connection in enumerate(connections):
        inspection._found(connection)
        out += capsys.readouterr().out
        counts += [out.count("\n")] if number else []
    inspection.finish()
    out += capsys.readouterr().out
    assert [*counts, out.count("\n")] == written
    assert [json.loads(line)["client_port"] for line in out.splitlines()] == [each.client_port for each in connections]


def healthy_frames(number: int) -> list[Frame]:
    return Conversation(client=("10.0.0.1", 40_000 + number)).opens().plays(healthy()).closes().frames()


@pytest.fixture
def nobody_writes() -> Iterator[BinaryIO]:
    """A pipe that would be waited for; where that happens the test ends with a byte, not with the night."""
    reading, writing = os.pipe()
    watch = threading.Timer(5, os.write, (writing, b"!"))
    watch.start()
    before = signal.getsignal(signal.SIGUSR1)
    with open(reading, "rb", buffering=0) as stream:
        yield stream
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGUSR1, before)
    watch.cancel()
    watch.join()
    os.close(writing)


#: For each byte that it reads, a signal. Not a thread: it would send while we are at rest.
SENDER = """
import os, signal
while os.read(0, 1):
    os.kill(os.getppid(), signal.SIGUSR1)
"""


def test_a_signal_is_never_waited_out(nobody_writes: BinaryIO):
    """Whenever it comes: also between the look for it and the wait, where no handler runs any more.

    A handler that raises is found out in seven runs of eight.
    """
    with subprocess.Popen([sys.executable, "-c", SENDER], stdin=subprocess.PIPE, bufsize=0) as sender:
        assert sender.stdin is not None
        source = Reading(str).of(nobody_writes)
        source.ends_at(signal.SIGUSR1)
        for round in range(2_000):
            sender.stdin.write(b"!")
            until = time.perf_counter() + (round % 100) * 2e-6
            while time.perf_counter() < until:
                pass
            with pytest.raises(StoppedError):
                source.read(10)
            assert time.perf_counter() - until < 4
