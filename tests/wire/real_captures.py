"""A capture made on the spot: real clients of many TLS stacks against real servers, in a namespace of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.conftest import require_program
from tests.probe.namespaces import inside, namespace

STACKS = Path(__file__).parent / "stacks"
#: Ports of the servers, by what they speak.
TLS12, TLS13, CBC, RETRY, RSA, GO, PLAIN, CLOSED = 8_443, 993, 995, 465, 5_061, 443, 636, 853
OPENSSL_SERVERS = {
    TLS12: ["-tls1_2"], TLS13: ["-tls1_3"], CBC: ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"],
    RETRY: ["-tls1_3", "-groups", "P-384"], RSA: ["-tls1_2", "-cipher", "AES128-SHA"],
}  # fmt: skip
PORTS = [*OPENSSL_SERVERS, GO, CLOSED]
NAME = "imap-mail.outlook.com"
START_SECONDS = 10.0


def certificate(directory: Path) -> None:
    """A self-signed RSA certificate, for suites of every kind."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days",
         "2", "-subj", f"/O=Lab/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"],
        cwd=directory, check=True, capture_output=True, timeout=30,
    )  # fmt: skip


@contextmanager
def daemon(command: Sequence[str], where: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program inside the namespace until the block ends."""
    child = subprocess.Popen(
        ["ip", "netns", "exec", where, *command], cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _await_ports(ports: Sequence[int]) -> None:
    deadline = time.monotonic() + START_SECONDS
    for port in ports:
        while True:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline, f"nothing listens on {port}"
            time.sleep(0.05)


@contextmanager
def capturing(where: str, file: Path) -> Iterator[None]:
    """tcpdump on the namespace's loopback; the file is whole when the block ends."""
    require_program("tcpdump")
    command = [
        "ip",
        "netns",
        "exec",
        where,
        "tcpdump",
        "-i",
        "lo",
        "-w",
        str(file),
        "-U",
        "-Z",
        "root",
        "-B",
        "65536",
    ]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    child.stderr.readline()  # it listens
    try:
        yield
        inside(where, _mark)
        _await_mark(file)
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=10)


_MARK = b"the end of the capture"


def _mark() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(_MARK, ("127.0.0.1", 9))


def _await_mark(file: Path) -> None:
    deadline = time.monotonic() + 10
    while _MARK not in file.read_bytes()[-4_096:]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def build_go(directory: Path, name: str) -> str:
    """A Go program of ours, compiled."""
    go = require_program("go", "golang-go")
    environment = os.environ | {"GOCACHE": str(directory / "gocache"), "GO111MODULE": "off", "HOME": str(directory)}
    target = directory / name
    subprocess.run(
        [go, "build", "-o", str(target), str(STACKS / f"{name}.go")], check=True, env=environment, timeout=100,
        capture_output=True,
    )  # fmt: skip
    return str(target)


def errands(ports: Sequence[int]) -> list[str]:
    """What the clients are told to do: trusting, then checking."""
    return [f"{port},{NAME},{mode}" for port in ports for mode in ("trust", "check")]


def openssl_clients(where: str, ports: Sequence[int]) -> None:
    """s_client, in clear and refusing, resuming too."""
    for port in ports:
        for extra in ([], ["-verify_return_error"], ["-reconnect"]):
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", NAME, "-quiet", *extra]
            run(where, command, b"GET / HTTP/1.0\r\n\r\n")


def run(where: str, command: Sequence[str], said: bytes = b"") -> None:
    """A client to its end; how it ends is seen on the wire."""
    subprocess.run(
        ["ip", "netns", "exec", where, "timeout", "5", *command], input=said, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, timeout=20, check=False,
    )  # fmt: skip


def make_capture(directory: Path) -> Path:
    """The whole: some hundred connections of the stacks that are there; Go and Java only if at hand."""
    node, curl = require_program("node", "nodejs"), require_program("curl")
    nss, gnutls = require_program("tstclnt", "libnss3-tools"), require_program("gnutls-cli", "gnutls-bin")
    java, go = shutil.which("java"), shutil.which("go")
    certificate(directory)
    file = directory / "stacks.pcap"
    ports = [*OPENSSL_SERVERS, GO]
    with namespace() as where, ExitStack() as stack:
        for port, words in OPENSSL_SERVERS.items():
            stack.enter_context(daemon(openssl_server(port, words), where, directory))
        go_server = [build_go(directory, "server"), "cert.pem", "key.pem", str(GO)] if go else openssl_server(GO, [])
        stack.enter_context(daemon(go_server, where, directory))
        inside(where, _await_ports, ports)
        with capturing(where, file):
            openssl_clients(where, ports)
            if go:
                run(where, [build_go(directory, "client"), *errands([*ports, CLOSED])])
            if java:
                words = ["-Xshare:auto", "-XX:TieredStopAtLevel=1", str(STACKS / "Client.java")]
                run(where, [java, *words, *errands(ports)])
            run(where, [node, str(STACKS / "client.js"), *errands([*ports, CLOSED])])
            for port in ports:
                nss_client(where, nss, port)
                gnutls_client(where, gnutls, port)
                curl_client(where, curl, port)
    return file


def openssl_server(port: int, words: Sequence[str]) -> list[str]:
    return ["openssl", "s_server", "-accept", str(port), "-cert", "cert.pem", "-key", "key.pem", "-www", *words]


def nss_client(where: str, program: str, port: int) -> None:
    command = [program, "-h", "127.0.0.1", "-p", str(port), "-a", NAME, "-D", "-Q"]
    run(where, [*command, "-o"])
    run(where, command)


def gnutls_client(where: str, program: str, port: int) -> None:
    command = [program, "--sni-hostname", NAME, "-p", str(port)]
    run(where, [*command, "--insecure", "127.0.0.1"], b"GET / HTTP/1.0\r\n\r\n")
    run(where, [*command, "--verify-hostname", NAME, "127.0.0.1"])


def curl_client(where: str, program: str, port: int) -> None:
    command = [program, "-s", "--connect-to", f"{NAME}:443:127.0.0.1:{port}", f"https://{NAME}/"]
    run(where, [*command, "-k"])
    run(where, command)
