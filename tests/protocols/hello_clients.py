"""Real clients, and the ClientHello that each sends; `python -m tests.protocols.hello_clients` records them anew.

A client is pointed at a listener on loopback, which reads one hello and closes. Recording is done in a network namespace
that has nothing but loopback, for browsers and mail programs would talk to others too; it needs root.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.vocabulary import ClientFamily

RECORDED = Path(__file__).with_name("recorded") / "hellos.json"
NAME = "outlook.office365.com"
HOST = "127.0.0.1"
#: A client that hasn't said hello by then won't, seconds. Java and Chromium take three on a busy machine.
PATIENCE = 60.0
_ALONE = "HELLO_CLIENTS_ALONE"

_PYTHON = """
import socket, ssl, sys
ssl.create_default_context().wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[2]))), server_hostname=sys.argv[3])
"""
_PYOPENSSL = """
import socket, sys
from OpenSSL import SSL
connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), socket.create_connection((sys.argv[1], int(sys.argv[2]))))
connection.set_tlsext_host_name(sys.argv[3].encode())
connection.set_connect_state()
connection.do_handshake()
"""
_NODE = "require('tls').connect({host: process.argv[1], port: process.argv[2], servername: process.argv[3]}).on('error', () => {})"
_GO = """
package main

import ("crypto/tls"; "os")

func main() { tls.Dial("tcp", os.Args[1]+":"+os.Args[2], &tls.Config{ServerName: os.Args[3]}) }
"""
_JAVA = """
import java.net.InetSocketAddress;
import java.util.List;
import javax.net.ssl.*;

class Hello {
    public static void main(String[] a) throws Exception {
        SSLSocket socket = (SSLSocket) SSLSocketFactory.getDefault().createSocket();
        socket.connect(new InetSocketAddress(a[0], Integer.parseInt(a[1])));
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setServerNames(List.of(new SNIHostName(a[2])));
        if (a.length > 3) parameters.setProtocols(new String[]{a[3]});
        socket.setSSLParameters(parameters);
        socket.startHandshake();
    }
}
"""

Arguments = Callable[[Path, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Client:
    """`program` is looked for on the PATH; `arguments` get a scratch directory and the listener's port."""

    name: str
    family: ClientFamily
    program: str
    arguments: Arguments


def _go(scratch: Path, port: int) -> Sequence[str]:
    (source := scratch / "hello.go").write_text(_GO)
    return ["run", str(source), HOST, str(port), NAME]


def _java(*versions: str) -> Arguments:
    def arguments(scratch: Path, port: int) -> Sequence[str]:
        (source := scratch / "Hello.java").write_text(_JAVA)
        return [str(source), HOST, str(port), NAME, *versions]

    return arguments


def _tstclnt(*more: str) -> Arguments:
    def arguments(scratch: Path, port: int) -> Sequence[str]:
        subprocess.run(["certutil", "-N", "-d", str(scratch), "--empty-password"], check=True)
        return ["-h", HOST, "-p", str(port), "-a", NAME, "-d", str(scratch), "-o", *more]

    return arguments


def _chromium(scratch: Path, port: int) -> Sequence[str]:
    rules = f"--host-resolver-rules=MAP {NAME} {HOST}:{port}"
    quiet = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server", "--no-first-run", "--dump-dom"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    return [*quiet, f"--user-data-dir={scratch}", rules, f"https://{NAME}/"]


def _thunderbird(scratch: Path, port: int) -> Sequence[str]:
    """A profile with one account, which it looks at when it starts."""
    server, identity = "mail.server.server1", "mail.identity.id1"
    preferences = {
        "mail.accountmanager.accounts": "account1",
        "mail.account.account1.server": "server1",
        "mail.account.account1.identities": "id1",
        f"{identity}.useremail": "somebody@example.com",
        f"{identity}.valid": True,
        f"{server}.type": "imap",
        f"{server}.hostname": NAME,
        f"{server}.port": port,
        f"{server}.socketType": 3,
        f"{server}.userName": "somebody",
        f"{server}.login_at_startup": True,
        "network.dns.forceResolve": HOST,
    }
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
    (scratch / "prefs.js").write_text("".join(lines))
    return ["--headless", "--no-remote", "--profile", str(scratch)]


def _curl(*more: str) -> Arguments:
    return lambda _, port: ["-sk", "--connect-to", f"::{HOST}:{port}", *more]


def _s_client(*more: str) -> Arguments:
    return lambda _, port: ["s_client", "-connect", f"{HOST}:{port}", "-servername", NAME, *more]


def _gnutls(*more: str) -> Arguments:
    return lambda _, port: ["--insecure", "-p", str(port), "--sni-hostname", NAME, *more, HOST]


def _script(code: str, flag: str = "-c") -> Arguments:
    return lambda _, port: [flag, code, HOST, str(port), NAME]


_FAMILY = ClientFamily
CLIENTS = (
    Client("openssl s_client", _FAMILY.OPENSSL, "openssl", _s_client()),
    Client("openssl s_client, TLS 1.2", _FAMILY.OPENSSL, "openssl", _s_client("-tls1_2")),
    Client("openssl s_client, ALPN", _FAMILY.OPENSSL, "openssl", _s_client("-alpn", "imap")),
    Client("Python ssl", _FAMILY.OPENSSL, sys.executable, _script(_PYTHON)),
    Client("pyOpenSSL", _FAMILY.OPENSSL, sys.executable, _script(_PYOPENSSL)),
    Client("curl, HTTPS", _FAMILY.OPENSSL, "curl", _curl(f"https://{NAME}/")),
    Client("curl, IMAPS", _FAMILY.OPENSSL, "curl", _curl(f"imaps://{NAME}/")),
    Client("curl, TLS 1.2", _FAMILY.OPENSSL, "curl", _curl("--tls-max", "1.2", f"https://{NAME}/")),
    Client("Node", _FAMILY.OPENSSL, "node", _script(_NODE, "-e")),
    Client("Go", _FAMILY.GO, "go", _go),
    Client("Java", _FAMILY.JAVA, "java", _java()),
    Client("Java, TLS 1.2", _FAMILY.JAVA, "java", _java("TLSv1.2")),
    Client("gnutls-cli", _FAMILY.GNUTLS, "gnutls-cli", _gnutls()),
    Client("gnutls-cli, TLS 1.2", _FAMILY.GNUTLS, "gnutls-cli", _gnutls("--priority", "NORMAL:-VERS-TLS1.3")),
    Client("NSS tstclnt", _FAMILY.NSS, "tstclnt", _tstclnt()),
    Client("NSS tstclnt, TLS 1.2", _FAMILY.NSS, "tstclnt", _tstclnt("-V", "tls1.2:tls1.2")),
    Client("Thunderbird", _FAMILY.NSS, "thunderbird", _thunderbird),
    Client("Chromium", _FAMILY.CHROMIUM, "chromium", _chromium),
)


def record_hello(client: Client) -> bytes | None:
    """What the client sends first, up to its first record's end; None where its program isn't there."""
    program = shutil.which(client.program)
    if program is None:
        return None
    with TemporaryDirectory(prefix="hello-") as scratch, socket.create_server((HOST, 0)) as listener:
        listener.settimeout(PATIENCE)
        environment = {**os.environ, "HOME": scratch, "GOCACHE": f"{scratch}/go", "GO111MODULE": "off"}
        child = subprocess.Popen(
            [program, *client.arguments(Path(scratch), listener.getsockname()[1])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(PATIENCE)
                return _first_record(accepted)
        finally:
            _end(child)


def _first_record(accepted: socket.socket) -> bytes:
    data = b""
    while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5]):
        data += accepted.recv(65_536)
    return data


def _end(child: subprocess.Popen[bytes]) -> None:
    """It and its own children: Chromium has several."""
    try:
        os.killpg(child.pid, 9)
    except ProcessLookupError:
        pass
    child.wait()


def recorded() -> dict[str, bytes]:
    """The hellos on file, by client."""
    return {name: bytes.fromhex(text) for name, text in json.loads(RECORDED.read_text()).items()}


def main() -> None:
    """Goes into a namespace of its own first."""
    if _ALONE not in os.environ:
        alone = [
            "unshare",
            "-n",
            "sh",
            "-c",
            'ip link set lo up && exec "$0" "$@"',
            sys.executable,
            "-m",
            __spec__.name,
        ]
        os.execvpe(alone[0], alone, {**os.environ, _ALONE: "1"})
    hellos = {client.name: hello.hex() for client in CLIENTS if (hello := record_hello(client))}
    RECORDED.write_text(json.dumps(hellos, indent=1) + "\n")


if __name__ == "__main__":
    main()
