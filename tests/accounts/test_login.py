"""`login` and `accounts` as a person runs them, against the embedded sign-in."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.accounts.token_file import Stored
from exporter.lab.lab import Lab
from exporter.secret_files import Secret
from tests.accounts.trying import PERSONAL, job_of, personal, secret_file, settings_of, work
from tests.real.process import need_root


async def command(tmp_path: Path, *words: str, **env: str) -> "asyncio.subprocess.Process":
    """The product's command, started."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exporter", *words, "--config", str(tmp_path / "accounts.yml"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env={**os.environ, **env},
    )  # fmt: skip


async def said(process: "asyncio.subprocess.Process") -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 40)
    return process.returncode or 0, out.decode(), err.decode()


async def instructions(process: "asyncio.subprocess.Process") -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 20)).decode()


@pytest.fixture
def fast(lab: Lab) -> Lab:
    """A sign-in that wants to be polled each second."""
    lab.outlook.sign_in.device_interval = 1
    return lab


async def test_a_person_signs_in_and_the_service_has_a_token(fast: Lab, tmp_path: Path):
    settings_of(fast, tmp_path, personal(fast, tmp_path))
    process = await command(tmp_path, "login", PERSONAL)
    line = await instructions(process)
    assert re.search(r"open https://www\.microsoft\.com/link in any browser, and enter the code [0-9A-F]{8}", line)
    fast.outlook.sign_in.decide_device_codes("approved")
    status, out, err = await said(process)
    assert (status, "Signed in." in out) == (0, True), err
    assert "unencrypted" in err
    assert (tmp_path / "personal.token").stat().st_mode & 0o777 == 0o600
    status, out, _ = await said(await command(tmp_path, "accounts", "--json"))
    [account] = [json.loads(each) for each in out.splitlines()]
    assert status == 0
    assert (account["name"], account["problem"], account["encrypted"]) == (PERSONAL, None, False)
    assert account["valid_until"].endswith("Z")
    status, out, err = await said(await command(tmp_path, "probe", "imap", "--json"))
    probes = [json.loads(each) for each in out.splitlines()]
    assert status == 0, err
    assert {account["outcome"] for probe in probes for account in probe["accounts"]} == {"accepted"}
    assert "someone@outlook.com" not in out


async def test_a_person_who_declines(fast: Lab, tmp_path: Path):
    settings_of(fast, tmp_path, personal(fast, tmp_path))
    process = await command(tmp_path, "login", PERSONAL)
    await instructions(process)
    fast.outlook.sign_in.decide_device_codes("declined")
    status, _, err = await said(process)
    assert status == 1
    assert "Not signed in: " in err
    assert "Traceback" not in err


async def test_interrupted_it_stops_at_once(lab: Lab, tmp_path: Path):
    settings_of(lab, tmp_path, personal(lab, tmp_path))
    process = await command(tmp_path, "login", PERSONAL)
    await instructions(process)
    process.send_signal(signal.SIGINT)
    status, _, err = await asyncio.wait_for(said(process), 3)
    assert status == 130
    assert "Traceback" not in err


async def test_an_intercepted_way_is_told_and_gets_nothing(lab: Lab, tmp_path: Path):
    settings_of(lab, tmp_path, personal(lab, tmp_path))
    await lab.set_fault("tls_intercepted.trusted")
    status, _, err = await said(await command(tmp_path, "login", PERSONAL))
    assert status == 1
    assert "withheld: the certificate isn't Microsoft's" in err


async def test_a_way_that_is_broken_is_told(lab: Lab, tmp_path: Path):
    settings_of(lab, tmp_path, personal(lab, tmp_path))
    await lab.set_fault("sni_reset")
    status, _, err = await said(await command(tmp_path, "login", PERSONAL))
    assert status == 1
    assert "from vantage clients: tls: reset" in err


async def test_before_and_after_damage(lab: Lab, tmp_path: Path):
    settings_of(lab, tmp_path, personal(lab, tmp_path))
    status, out, _ = await said(await command(tmp_path, "accounts"))
    assert status == 1
    assert "login canary-personal" in " ".join(out.split())
    secret_file(tmp_path / "personal.token", "nonsense")
    status, out, _ = await said(await command(tmp_path, "accounts", "--json"))
    assert "damaged" in json.loads(out)["problem"]
    assert len(list(tmp_path.glob("personal.token.damaged-*"))) == 1  # noqa: ASYNC240 - a test's own directory


async def test_roots_command_into_the_services_directory_says_whose_it_should_be(lab: Lab, tmp_path: Path):
    """Capabilities are given up, so that root has no right there; and a file of root's is none that the service reads."""
    need_root("giving a directory to another user")
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    os.chown(directory, 65_534, 65_534)
    settings_of(lab, tmp_path, personal(lab, tmp_path, token_cache=str(directory / "personal.token")))
    status, _, err = await said(await command(tmp_path, "login", PERSONAL))
    assert status == 1
    assert re.search(r"Permission denied; it belongs to nobody: run this command as that user", err)
    assert lab.outlook.behaviour.traffic.counts["connection"] == 0, "before a person is bothered"


async def test_the_secrets_of_other_accounts_neednt_be_at_hand(lab: Lab, tmp_path: Path):
    """A credential is there for the unit alone: `login` beside it hasn't the others', nor `accounts`."""
    other = work(lab, tmp_path, client_secret_file="canary-work")
    third = work(lab, tmp_path, name="third", token_cache=str(tmp_path / "third.token"), certificate_file="app",
                 private_key_file="key")  # fmt: skip
    settings_of(lab, tmp_path, other, third, personal(lab, tmp_path))
    process = await command(tmp_path, "login", PERSONAL)
    assert "enter the code" in await instructions(process)
    process.send_signal(signal.SIGTERM)
    await said(process)
    status, out, _ = await said(await command(tmp_path, "accounts", "--json"))
    problems = {each["name"]: each["problem"] for each in map(json.loads, out.splitlines())}
    assert status == 1
    assert problems["third"].startswith(
        "accounts[1].certificate_file: is a name, and $CREDENTIALS_DIRECTORY is not set"
    )
    assert "nobody has signed in yet" in problems[PERSONAL]


@pytest.mark.parametrize(
    ("account", "ends"),
    [(personal, "2027-02-0[0-9], if unused"), (work, "told by Microsoft only")],
    ids=["person", "client secret"],
)
async def test_when_what_it_signs_in_with_ends(lab: Lab, tmp_path: Path, account: Any, ends: str):
    job = job_of(settings_of(lab, tmp_path, account(lab, tmp_path)))
    source = job.accounts[0].tokens
    assert source is not None
    used = datetime(2026, 11, 7, tzinfo=UTC).timestamp()
    with source.file.locked():
        source.file.write(Stored(refresh_token=Secret(b"r"), refresh_obtained_at=used))
    _, out, _ = await said(await command(tmp_path, "accounts"))
    assert re.search(ends, " ".join(out.split()))


async def test_a_wrong_secret_is_an_unhealthy_probe(lab: Lab, tmp_path: Path):
    wrong = secret_file(tmp_path / "wrong", "planted-wrong-secret")
    settings_of(lab, tmp_path, work(lab, tmp_path, client_secret_file=wrong))
    status, out, err = await said(await command(tmp_path, "probe", "imap_office365", "--json"))
    [account] = json.loads(out.splitlines()[0])["accounts"]
    assert (status, account["outcome"], account["cause"]) == (1, "refused", "credentials_invalid")
    assert "planted" not in out + err


@pytest.mark.parametrize(
    ("name", "accounts", "told"),
    [
        ("nobody", [], "nobody: no such account"),
        (
            "canary-persona",
            [{"name": PERSONAL, "kind": "oauth_personal", "client_id": "c"}],
            "no such account.*canary-personal",
        ),
        (
            "app",
            [{"name": "app", "kind": "oauth_work", "client_id": "c", "client_secret_file": "/none"}],
            "signs in by itself",
        ),
    ],
)
def test_who_cant_sign_in_so_is_told_in_one_line(tmp_path: Path, name: str, accounts: list[Any], told: str):
    config = tmp_path / "c.yml"
    config.write_text(yaml.safe_dump({"accounts": accounts}))
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "login", name, "--config", str(config)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.search(told, done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_no_account_at_all_is_well(tmp_path: Path):
    config = tmp_path / "c.yml"
    config.write_text("{}")
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "accounts", "--config", str(config)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "No account is configured" in done.stdout
