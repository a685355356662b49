"""The inspector's processes: workers that end and begin again, interfaces that go and come, services that don't read."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.capabilities import drop_capabilities, held_capabilities
from exporter.unix_socket import listening
from exporter.wire import messages
from exporter.wire.interface_state import Interface
from exporter.wire.messages import Kind, Message, read_message
from exporter.wire.process import Keeper, fork_keeper, keep_until_signal
from exporter.wire.sandbox import CAP_NET_RAW, NOBODY
from exporter.wire.watched import InspectorConfig
from tests.probe.namespaces import inside, ip, namespace, root
from tests.wire.packets_by_hand import ACK, PSH, SYN, ethernet, segment
from tests.wire.test_ring import pair, sent

pytestmark = root

ROOT = Path(__file__).parents[2]
CONFIG = InspectorConfig(everything=True, privacy="plain")


class Heard:
    """The service's end of a channel, blocking."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(True)
        self.channel = channel
        self.samples: dict[str, float] = {}
        self.runs: list[str] = []

    def next(self, seconds: float = 10.0) -> Message:
        ready, _, _ = select.select([self.channel], [], [], seconds)
        assert ready, "it says nothing"
        data = self.channel.recv(messages.MAX_MESSAGE)
        assert data, "it has ended"
        message = read_message(data)
        assert message is not None
        if message.kind is Kind.SAMPLES:
            self.samples |= {f"{s.metric} {dict(s.labels)}": s.value for s in message.content}
        if message.kind is Kind.HELLO and message.content[0] not in self.runs:
            self.runs.append(message.content[0])
        return message

    def until(self, kind: Kind, right: Any = lambda content: True, seconds: float = 15.0) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            message = self.next()
            if message.kind is kind and right(message.content):
                return message.content
        raise AssertionError(f"no such {kind}")

    def order(self, *interfaces: Interface) -> None:
        self.channel.send(messages.order(interfaces))


def is_open(states: Any) -> bool:
    return all(state.open for state in states) and bool(states)


def is_closed(states: Any) -> bool:
    return not any(state.open for state in states)


@contextmanager
def keeper(*interfaces: Interface, config: InspectorConfig = CONFIG):
    """Forked, as the service does; it ends with its channel."""
    channel, pid = fork_keeper(config, interfaces)
    with closing(channel):
        yield Heard(channel), pid
    begun = time.monotonic()
    assert os.waitpid(pid, 0)[1] == 0
    assert time.monotonic() - begun < 2


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


class TestKeeper:
    def test_who_has_which_right(self):
        def tries():
            with keeper(Interface("lo")) as (heard, pid):
                heard.until(Kind.INTERFACES, is_open)
                (worker,) = children(pid)
                statuses = [Path(f"/proc/{each}/status").read_text() for each in (pid, worker)]
                rights = [held_capabilities(each) for each in (pid, worker)]
                return [comm(pid), comm(worker)], statuses, rights

        with namespace() as where:
            names, statuses, rights = inside(where, tries)
        assert names == ["oae-keeper", "oae-inspect/0"]
        assert rights == [1 << CAP_NET_RAW] * 2
        for status in statuses:
            assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status
            assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in statuses[1]

    def test_a_worker_that_is_killed_begins_again(self):
        def tries():
            with keeper(Interface("lo")) as (heard, pid):
                heard.until(Kind.INTERFACES, is_open)
                os.kill(children(pid)[0], signal.SIGKILL)
                heard.until(Kind.DOWN)
                heard.until(Kind.INTERFACES, is_open)
                return len(heard.runs)

        with namespace() as where:
            assert inside(where, tries) == 2

    def test_it_ends_with_the_service(self):
        def tries():
            heard_pid = []

            def service():
                channel, pid = fork_keeper(CONFIG, [Interface("lo")])
                Heard(channel).until(Kind.INTERFACES, is_open)
                heard_pid.append(pid)
                return pid, children(pid)

            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                pid, workers = service()
                os.write(writing, f"{pid} {workers[0]}".encode())
                os.kill(os.getpid(), signal.SIGKILL)  # nothing is cleaned up
            os.waitpid(child, 0)
            pids = [int(word) for word in os.read(reading, 100).split()]
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in pids):
                time.sleep(0.05)
            return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

        with namespace() as where:
            assert inside(where, tries) == []

    def test_two_workers(self):
        def tries():
            config = InspectorConfig(everything=True, workers=2)
            with keeper(Interface("eth0"), config=config) as (heard, pid):
                opened: set[int] = set()
                while opened != {0, 1}:
                    message = heard.next()
                    if message.kind is Kind.INTERFACES and is_open(message.content):
                        opened.add(message.worker)
                inside(right, sent, [ethernet(segment(SYN, client=f"192.0.2.{n}")) for n in range(100)])
                counts = {0: 0.0, 1: 0.0}
                while sum(counts.values()) < 100:
                    message = heard.next()
                    for sample in message.content if message.kind is Kind.SAMPLES else ():
                        if sample.metric == "outlook_wire_packets_total":
                            counts[message.worker] = sample.value
                return counts, [comm(each) for each in children(pid)]

        with pair() as (left, right):
            counts, names = inside(left, tries)
        assert min(counts.values()) > 20
        assert sorted(names) == ["oae-inspect/0", "oae-inspect/1"]

    def test_a_service_that_does_not_read_is_told_everything_once_it_does(self):
        flood = [ethernet(segment(SYN, client_port=1_024 + n)) for n in range(2_000)]
        flood += [
            ethernet(segment(4 | ACK, client_port=1_024 + n, to_server=False, acknowledgment=2)) for n in range(2_000)
        ]

        def tries():
            with keeper(Interface("eth0", "inside")) as (heard, _):
                heard.until(Kind.INTERFACES, is_open)
                heard.channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                for _ in range(5):
                    inside(right, sent, flood)
                    time.sleep(0.3)
                deadline = time.monotonic() + 15
                key = "outlook_wire_packets_total {'interface': 'eth0'}"
                while heard.samples.get(key) != 5 * len(flood) and time.monotonic() < deadline:
                    heard.next()
                refused = (
                    "outlook_wire_connections_total {'target': 'other', 'interface': 'eth0', 'outcome': 'refused'}"
                )
                return heard.samples.get(key), heard.samples.get(refused, 0)

        with pair() as (left, right):
            packets, refused = inside(left, tries)
        assert packets == 5 * len(flood)
        assert refused >= 2_000


class TestInterfaces:
    def test_gone_and_back_again(self):
        """As a USB adapter, a tunnel, a container's: another one of the same name."""

        def tries():
            with keeper(Interface("eth0", "inside")) as (heard, _):
                heard.until(Kind.INTERFACES, is_open)
                ip("link", "del", "eth0")
                (gone,) = heard.until(Kind.INTERFACES, is_closed)
                ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
                ip("link", "set", "eth0", "up")
                ip("link", "set", "eth1", "up")
                heard.until(Kind.INTERFACES, is_open)
                flow = [segment(SYN), segment(4 | ACK, to_server=False, acknowledgment=2)]
                sent([ethernet(each) for each in flow], "eth1")
                seen = heard.until(Kind.CONNECTION)
                return gone.problem, seen.outcome, seen.interface, len(heard.runs)

        with pair() as (left, _):
            problem, outcome, interface, runs = inside(left, tries)
        assert problem == "eth0: no such interface any more"
        assert (outcome, interface) == ("refused", "eth0")
        assert runs == 1  # the very same worker

    def test_down_and_up(self):
        def tries():
            with keeper(Interface("eth0")) as (heard, pid):
                heard.until(Kind.INTERFACES, is_open)
                ip("link", "set", "eth0", "down")
                time.sleep(0.2)
                before = Path(f"/proc/{children(pid)[0]}/stat").read_text().split()[13:15]
                time.sleep(0.5)
                after = Path(f"/proc/{children(pid)[0]}/stat").read_text().split()[13:15]
                ip("link", "set", "eth0", "up")
                flow = [segment(SYN), segment(4 | ACK, to_server=False, acknowledgment=2)]
                deadline = time.monotonic() + 10
                while time.monotonic() < deadline:
                    inside(right, sent, [ethernet(each) for each in flow])
                    ready, _, _ = select.select([heard.channel], [], [], 0.3)
                    if ready and heard.next().kind is Kind.CONNECTION:
                        return [int(b) - int(a) for a, b in zip(before, after, strict=True)]
                raise AssertionError("nothing is seen any more")

        with pair() as (left, right):
            ticks = inside(left, tries)
        assert sum(ticks) <= 10  # it doesn't spin on the error

    def test_one_that_comes_later_and_one_that_goes_from_the_list(self):
        def tries():
            with keeper(Interface("eth5")) as (heard, _):
                (missing,) = heard.until(Kind.INTERFACES)
                heard.order(Interface("eth5", "outside"), Interface("lo", "inside"))
                both = heard.until(Kind.INTERFACES, lambda states: len(states) == 2 and states[1].open)
                ip("link", "add", "eth5", "type", "veth", "peer", "name", "eth6")
                heard.until(Kind.INTERFACES, is_open)
                heard.order(Interface("lo", "inside"))
                only = heard.until(Kind.INTERFACES, lambda states: len(states) == 1)
                return missing.problem, both[0].open, [state.name for state in only]

        with namespace() as where:
            assert inside(where, tries) == ("eth5: no such interface", False, ["lo"])

    def test_without_the_right_it_says_so_and_goes_on(self):
        def tries():
            drop_capabilities()
            channel, pid = fork_keeper(CONFIG, [Interface("lo")])
            with closing(channel):
                (state,) = Heard(channel).until(Kind.INTERFACES)
                assert len(children(pid)) == 1
            os.waitpid(pid, 0)
            return state.problem

        with namespace() as where:
            assert inside(where, tries) == "lo: reading packets needs CAP_NET_RAW"


class TestUnit:
    def test_services_come_and_go(self, tmp_path):
        path = tmp_path / "inspector.sock"

        def connected():
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            deadline = time.monotonic() + 10
            while True:
                try:
                    channel.connect(str(path))
                    return Heard(channel)
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)

        def tries():
            child = os.fork()
            if child == 0:
                with listening(path, 0o660) as listener:
                    keep_until_signal(Keeper(CONFIG, [], listener=listener))
                os._exit(0)
            first = connected()
            first.order(Interface("lo", "inside"))
            first.until(Kind.INTERFACES, is_open)
            second = connected()
            second.order(Interface("lo", "inside"))
            second.until(Kind.INTERFACES, is_open)
            first.channel.close()
            second.order(Interface("eth9"))
            second.until(Kind.INTERFACES, lambda states: states[0].name == "eth9")
            second.channel.send(b"not an order")
            more = [connected() for _ in range(6)]  # too many: the last ones are shown the door
            refused = sum(
                1 for each in more if select.select([each.channel], [], [], 1.0)[0] and not each.channel.recv(10)
            )
            os.kill(child, signal.SIGTERM)
            begun = time.monotonic()
            status = os.waitpid(child, 0)[1]
            for each in (second, *more):
                each.channel.close()
            return second.runs, refused, status, time.monotonic() - begun

        with namespace() as where:
            runs, refused, status, seconds = inside(where, tries)
        assert len(runs) == 1
        assert refused >= 2
        assert status == 0
        assert seconds < 2

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ("{}", "inspect.socket: must name"),
            ("inspect: {socket: /nowhere/at/all}", "inspect.socket: /nowhere/at/all"),
        ],
    )
    def test_what_it_needs_is_said_in_a_line(self, tmp_path, config, words):
        (tmp_path / "c.yml").write_text(config)
        command = [sys.executable, "-m", "exporter", "run", "--only", "inspector", "--config", str(tmp_path / "c.yml")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_segment_of_data_alone_is_no_reason_to_end():
    """Odd packets through the whole process: none ends it."""
    odd = [
        ethernet(segment(flags, payload))
        for flags in (ACK | PSH, 4, 3, 0)
        for payload in (b"", b"\x16", b"\x16\x03\x01\xff\xff" * 200)
    ]

    def tries():
        with keeper(Interface("eth0")) as (heard, _):
            heard.until(Kind.INTERFACES, is_open)
            inside(right, sent, odd * 50)
            heard.until(
                Kind.SAMPLES, lambda found: any(s.metric == "outlook_wire_packets_total" and s.value for s in found)
            )
            return heard.runs

    with pair() as (left, right):
        assert len(inside(left, tries)) == 1
