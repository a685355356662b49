"""The whole product with accounts of every kind, as a process of its own: whatever it prints, serves, keeps or leaves behind
is searched for every secret it was given and every token it got; healthy, and with a sign-in host that repeats secrets.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from exporter.demo import LabThread
from exporter.lab.http_server import Answer
from exporter.lab.lab import Lab
from exporter.lab.sign_in import App, Grant, _Exchange
from exporter.settings_file import load
from tests.accounts.conftest import SCOPE
from tests.accounts.leaks import Leaks
from tests.accounts.trying import USER, personal, secret_file, signed_in_before, work
from tests.probe.namespaces import namespace, root

CLIENT_SECRET, PASSWORD, PROXY = "Qz8~cl13ntS3cr3t_0f-the.App", "corr3ct-h0rse-battery", "pr0xy-w0rd-of-the-gateway"
REFRESH = "M.C5_" + "kQ7wZr3sN9fX2vB6" * 6
PRINTER = "wilhelmina.tell@contoso.example"
SECONDS = 30.0


@pytest.fixture(scope="module")
def key_pair() -> tuple[rsa.RSAPrivateKey, str, str]:
    """A key, its PEM, and a certificate for it."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "canary")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=90))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key, pem.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


@dataclass(slots=True)
class Planted:
    """A lab, a configuration with an account of every kind, and everything that must not come out."""

    lab: Lab
    directory: Path
    config: Path
    secrets: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), **self.lab.environment()}

    def leaks(self) -> Leaks:
        """What was planted, and what the lab has given out since."""
        behaviour, sign_in = self.lab.outlook.behaviour, self.lab.outlook.sign_in
        # Of a JWT the signature: what it says stands in certificates too, in base64.
        given = {f"access token {number}": token[-300:] for number, token in enumerate(behaviour.issued)}
        refreshing = {f"refresh token {number}": token for number, token in enumerate(sign_in.refresh_tokens)}
        return Leaks({**self.secrets, **given, **refreshing})


@pytest.fixture
def planted(tmp_path: Path, key_pair: tuple[rsa.RSAPrivateKey, str, str]) -> Iterator[Planted]:
    (tmp_path / "lab").mkdir()
    thread = LabThread(tmp_path / "lab")
    try:
        yield _planted(thread.start(), tmp_path, *key_pair)
    finally:
        thread.stop()


def _planted(lab: Lab, tmp_path: Path, key: rsa.RSAPrivateKey, pem: str, certificate: str) -> Planted:
    sign_in = lab.outlook.sign_in
    sign_in.apps["client-of-the-app"] = App(secret=CLIENT_SECRET, key=key.public_key())
    sign_in.refresh_tokens[REFRESH] = Grant(
        USER, "client-of-a-person", SCOPE, personal=True, issued=lab.outlook.behaviour.now()
    )
    lab.outlook.behaviour.smtp_passwords[PRINTER] = PASSWORD
    by_key = {
        "name": "by-key", "certificate_file": secret_file(tmp_path / "certificate", certificate),
        "private_key_file": secret_file(tmp_path / "key", pem), "token_cache": str(tmp_path / "key.token"),
    }  # fmt: skip
    printer = {
        "name": "printer", "kind": "app_password", "username": PRINTER, "targets": ["smtp_office365"],
        "password_file": secret_file(tmp_path / "password", PASSWORD),
    }  # fmt: skip
    content = lab.configuration("http")
    content["vantages"][-1]["proxy_credentials_file"] = secret_file(tmp_path / "proxy", f"me:{PROXY}")
    content["vantages"] = [content["vantages"][-1], *content["vantages"][:-1]]
    content["probe"] |= {"interval": "1s", "canary_interval": "30s"}
    content["accounts"] = [personal(lab, tmp_path), work(lab, tmp_path), work(lab, tmp_path, **by_key), printer]
    secret_file(tmp_path / "secret", CLIENT_SECRET)
    config = tmp_path / "exporter.yml"
    config.write_text(yaml.safe_dump(content))
    _sign_in_before(config)
    secrets = {
        "client secret": CLIENT_SECRET, "password": PASSWORD, "refresh token": REFRESH, "proxy's password": PROXY,
        "private key": "".join(pem.splitlines()[1:-1]), "a line of the private key": pem.splitlines()[5],
        "user": PRINTER, "mailbox": "box@contoso.example",
    }  # fmt: skip
    return Planted(lab, tmp_path, config, secrets)


def _sign_in_before(config: Path) -> None:
    """As if a person had run `login`."""
    from exporter.accounts.configured import make_accounts
    from exporter.prepare import make_prober

    settings = load(config, {})
    accounts = make_accounts(settings, {}, make_prober(settings, once=True).tools, ["clients", "wan"])
    signed_in_before(accounts[0], REFRESH)


@pytest.fixture
def repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sign-in host refuses every token request and repeats what it was sent, as a careless or hostile one may."""

    def refused(self: _Exchange) -> Answer:
        words = " ".join([*self._form.values(), PRINTER, "box@contoso.example"])
        content = {
            "error": "invalid_client", "error_codes": [7000215], "suberror": words[:300],
            "error_description": f"AADSTS7000215: Invalid client secret: {words}", "x": words,
        }  # fmt: skip
        return self._answers.json(401, content, token=True)

    monkeypatch.setattr(_Exchange, "_token", refused)


@contextmanager
def service(planted: Planted) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """`run` until the block ends; its output is in files of the directory."""
    out, err = (planted.directory / f"service.{name}" for name in ("out", "err"))
    command = [sys.executable, "-X", "dev", "-m", "exporter", "run", "--config", str(planted.config)]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"], env=planted.environment, stdin=subprocess.DEVNULL, stdout=stdout,
            stderr=stderr,
        )  # fmt: skip
        try:
            yield process, _url(err)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _url(log: Path) -> str:
    deadline = time.monotonic() + SECONDS
    while (match := re.search(r"url=(\S+)", log.read_text())) is None:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)  # a process tells nobody else that it listens
    return f"{match[1].rstrip(chr(47))}/"


def get(url: str, *, accept: str = "*/*", method: str = "GET") -> str:
    """Headers and body of a page, also of one that isn't 200."""
    request = urllib.request.Request(url, headers={"Accept": accept}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return f"{response.headers}\n{response.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.headers}\n{error.read().decode()}"


def everything_served(url: str) -> list[tuple[str, str]]:
    openmetrics = "application/openmetrics-text; version=1.0.0"
    pages = ["", "api/v1/probes", "api/v1/verdicts", "api/v1/connections", "metrics", "-/ready",
             "probe?target=imap&vantage=clients&debug=true"]  # fmt: skip
    served = [(page, get(f"{url}{page}")) for page in pages]
    return [*served, ("OpenMetrics", get(f"{url}metrics", accept=openmetrics)),
            ("reload", get(f"{url}-/reload", method="POST"))]  # fmt: skip


def until(url: str, *, count: int, metric: str) -> None:
    """Waits until so many samples of a metric are there and not 0."""
    deadline = time.monotonic() + SECONDS
    while len(re.findall(rf"^{metric}{{.*}} [^0\n].*$", page := get(f"{url}metrics"), re.MULTILINE)) < count:
        assert time.monotonic() < deadline, [line for line in page.splitlines() if line.startswith(metric)]
        time.sleep(0.1)


def around(process: "subprocess.Popen[bytes]") -> Iterator[tuple[str, bytes]]:
    """What the kernel shows of the service and its children: environment and command line."""
    pids = [process.pid, *map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())]
    for pid in pids:
        for name in ("environ", "cmdline", "comm"):
            yield f"{name} of {pid}", Path(f"/proc/{pid}/{name}").read_bytes()


def left_behind(planted: Planted) -> Iterator[tuple[str, bytes]]:
    """Files that the product made: none of the lab's, and no secret's own."""
    own = {"secret", "certificate", "key", "password", "proxy"}
    for path in planted.directory.rglob("*"):
        if path.is_file() and path.name not in own and ".token" not in path.name and path.parent.name != "lab":
            yield f"file {path.name}", path.read_bytes()


def without_names(planted: Planted) -> Leaks:
    """For the configuration's own text, which names its users."""
    secrets = {name: value for name, value in planted.secrets.items() if name not in ("user", "mailbox")}
    issued = enumerate(planted.lab.outlook.behaviour.issued)
    return Leaks({**secrets, **{f"access token {number}": token[-300:] for number, token in issued}})


@pytest.mark.slow
def test_a_service_whose_accounts_sign_in(planted: Planted):
    with service(planted) as (process, url):
        until(url, count=3, metric="outlook_token_last_success_timestamp_seconds")
        until(url, count=13, metric="outlook_account_auth_success")
        served = everything_served(url)
        kernel = list(around(process))
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)
    assert len(planted.lab.outlook.behaviour.issued) >= 2  # two of one application in one second may be the same
    assert planted.lab.counts["password"] >= 1
    planted.leaks().check([*served, *kernel])
    logs = [("log", (planted.directory / f"service.{name}").read_bytes()) for name in ("out", "err")]
    planted.leaks().check(logs)
    without_names(planted).check(left_behind(planted))
    assert oct((planted.directory / "work.token").stat().st_mode)[-3:] == "600"


@pytest.mark.slow
@pytest.mark.usefixtures("repeats")
def test_a_service_whose_identity_provider_repeats_secrets(planted: Planted):
    with service(planted) as (process, url):
        until(url, count=3, metric="outlook_token_errors_total")
        time.sleep(1.5)  # another turn of the job, so that what is waited for is told too
        served, kernel = everything_served(url), list(around(process))
    assert "7000215" in dict(served)["metrics"]
    assert "client_secret_file" in dict(served)[""]  # the page says what to do
    planted.leaks().check([*served, *kernel])
    planted.leaks().check(("log", (planted.directory / f"service.{name}").read_bytes()) for name in ("out", "err"))
    without_names(planted).check(left_behind(planted))


def command(planted: Planted, *arguments: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "exporter", *arguments], env=planted.environment, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("repeating", [False, True])
def test_commands(planted: Planted, request: pytest.FixtureRequest, *, repeating: bool):
    if repeating:
        request.getfixturevalue("repeats")
    recording = planted.directory / "round.jsonl"
    probed = command(planted, "probe", "--json", "--record", str(recording), "--config", str(planted.config))
    listed = command(planted, "accounts", "--json", "--config", str(planted.config))
    told = command(planted, "accounts", "--config", str(planted.config))
    assert probed[0] == (1 if repeating else 0), probed
    lines = [json.loads(line) for line in probed[1].splitlines()]
    assert any(line["accounts"] for line in lines)
    planted.leaks().check([
        ("probe", probed[1]), ("probe's log", probed[2]), ("recording", recording.read_bytes()),
        ("accounts --json", listed[1]), ("accounts", told[1]), ("their logs", listed[2] + told[2]),
    ])  # fmt: skip
    assert b"AUTHENTICATE XOAUTH2" in recording.read_bytes()  # the canary's


def test_a_secret_in_the_wrong_place_is_refused_without_repeating_it(planted: Planted):
    content: dict[str, Any] = yaml.safe_load(planted.config.read_text())
    for account, key, value in ((1, "client_secret_file", CLIENT_SECRET), (3, "password_file", f"{PASSWORD} !")):
        content["accounts"][account][key] = value
    planted.config.write_text(yaml.safe_dump(content))
    status, out, err = command(planted, "check-config", str(planted.config))
    assert status == 2
    planted.leaks().check([("check-config", out), ("its errors", err)])


# --- memory


@root
@pytest.mark.slow
def test_a_vantage_process_has_no_secret_in_its_memory(planted: Planted):
    """It is forked before any is read: what isn't there can't be read by whoever breaks into a namespace."""
    content: dict[str, Any] = yaml.safe_load(planted.config.read_text())
    with namespace() as name:
        content["vantages"].append({"name": "inside", "network_namespace": name, "resolver": "127.0.0.1:53"})
        planted.config.write_text(yaml.safe_dump(content))
        with service(planted) as (process, url):
            until(url, count=3, metric="outlook_token_last_success_timestamp_seconds")
            [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            memory = readable_memory(int(child))
            assert b"outlook-auth-exporter" in memory
            assert CLIENT_SECRET.encode() in readable_memory(process.pid)  # so the search finds what is there
        kept = {"client secret", "password", "refresh token", "proxy's password", "a line of the private key"}
        found = [name for name in kept if planted.secrets[name].encode() in memory]
        assert found == []


def readable_memory(pid: int) -> bytes:
    """All private pages of a process that can be read."""
    pieces = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions, *_ = line.split()
            begin, end = (int(each, 16) for each in span.split("-"))
            if not permissions.startswith("rw"):
                continue
            try:
                memory.seek(begin)
                pieces.append(memory.read(end - begin) or b"")
            except (OSError, OverflowError):
                continue
    return b"".join(pieces)
