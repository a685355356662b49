"""Every refusal of the facts through MSAL, from the embedded sign-in: by its number, its sentence, and Microsoft's clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from exporter.accounts.errors import Explanation, TokenError, explain
from exporter.accounts.token import TokenResult
from exporter.lab.aadsts import ERRORS, SENTENCES, error_named
from exporter.lab.lab import Lab
from exporter.lab.sign_in import App
from exporter.vocabulary import Cause, Responsible
from tests.accounts.conftest import REFRESH
from tests.accounts.test_errors import FACTS
from tests.accounts.trying import job_of, personal, secret_file, settings_of, signed_in_before, work


class Asking:
    """One account, which forgets after each token request that it ever asked."""

    def __init__(self, lab: Lab, tmp_path: Path, account: dict[str, Any]) -> None:
        self._job = job_of(settings_of(lab, tmp_path, account))
        self._cache, self._personal = Path(account["token_cache"]), account["kind"] == "oauth_personal"

    async def ask(self) -> TokenResult:
        self._cache.unlink(missing_ok=True)
        [account] = self._job.accounts
        assert account.tokens is not None
        if self._personal:
            signed_in_before(account, REFRESH)
        return await account.tokens.token(self._job.vantages[1], force=True)


async def ask(lab: Lab, tmp_path: Path, account: dict[str, Any]) -> TokenResult:
    return await Asking(lab, tmp_path, account).ask()


def told(result: TokenResult) -> tuple[TokenError, Explanation]:
    assert result.reached
    assert result.error is not None
    return result.error, explain(result.error)


@pytest.mark.parametrize("kind", ["work", "personal"])
async def test_every_number_reaches_us_as_it_was_sent(lab: Lab, tmp_path: Path, kind: str):
    asking = Asking(lab, tmp_path, work(lab, tmp_path) if kind == "work" else personal(lab, tmp_path))
    names: list[int | str] = [*ERRORS, *SENTENCES]
    wrong = []
    for name in names:
        number, sent = error_named(name)
        lab.outlook.behaviour.token_error = name
        error, why = told(await asking.ask())
        response = {"error": sent.error, "error_codes": [number], "error_description": f"AADSTS{number}: {sent.text}"}
        expected = explain(TokenError.of_response({**response, "suberror": sent.suberror}, sent.status))
        claims = sent.claims is not None
        seen = (error.error, error.codes[0], error.suberror, error.claims, error.http_status, why.label, why.cause)
        if seen != (sent.error, number, sent.suberror, claims, sent.status, expected.label, expected.cause):
            wrong.append((name, seen))
    assert wrong == []


async def test_the_classes_of_the_facts_are_told_apart(lab: Lab, tmp_path: Path):
    causes: dict[str, set[str]] = {}
    for kind, (numbers, _) in FACTS.items():
        lab.outlook.behaviour.token_error = numbers[0]
        causes[kind] = {told(await ask(lab, tmp_path, work(lab, tmp_path)))[1].cause}
    assert all(causes[kind] <= allowed for kind, (_, allowed) in FACTS.items())


async def test_what_a_person_did_shows_in_the_refusal(lab: Lab, tmp_path: Path):
    """A password changed, a sign-in unused for 90 days, a permission never given: by what the host itself decides."""
    behaviour, sign_in = lab.outlook.behaviour, lab.outlook.sign_in
    assert (await ask(lab, tmp_path, personal(lab, tmp_path))).error is None
    sign_in.refresh_tokens[REFRESH] = type(sign_in.refresh_tokens[REFRESH])(
        "someone@outlook.com", "client-of-a-person", "https://outlook.office.com/SMTP.Send", personal=True,
        issued=behaviour.now(),
    )  # fmt: skip
    assert told(await ask(lab, tmp_path, personal(lab, tmp_path)))[1].cause is Cause.CONSENT_MISSING
    sign_in.revoke()
    error, why = told(await ask(lab, tmp_path, personal(lab, tmp_path)))
    assert (error.codes, why.cause, why.responsible) == ((70000,), Cause.TOKEN_REVOKED, Responsible.ACCOUNT)


async def test_a_wrong_secret_and_an_unknown_application(lab: Lab, tmp_path: Path):
    account = work(lab, tmp_path)
    secret_file(tmp_path / "secret", "not-the-right-one")
    error, why = told(await ask(lab, tmp_path, account))
    assert (error.codes, error.http_status, why.cause) == ((7000215,), 401, Cause.CREDENTIALS_INVALID)
    error, why = told(await ask(lab, tmp_path, work(lab, tmp_path, client_id="nobody")))
    assert (error.codes, why.cause) == ((700016,), Cause.APP_MISCONFIGURED)


async def test_the_skew_is_microsofts_clock_against_ours(lab: Lab, tmp_path: Path):
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    lab.outlook.sign_in.apps["client-of-the-app"] = App(key=key.public_key())
    account = work(lab, tmp_path, **certificate(tmp_path, key))
    assert (await ask(lab, tmp_path, account)).error is None
    lab.outlook.behaviour.clock_offset = 7_200.0
    error, why = told(await ask(lab, tmp_path, account))
    assert (error.codes, why.cause, why.responsible) == ((700024,), Cause.CLOCK_SKEW, Responsible.APPLIANCE)
    assert error.skew_seconds is not None
    assert abs(error.skew_seconds + 7_200) < 30
    assert why.words.endswith("s behind Microsoft's.")


def certificate(tmp_path: Path, key: rsa.RSAPrivateKey) -> dict[str, str]:
    """A certificate for that key, and the key, as an account names them."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "canary")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=90)).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = made.public_bytes(serialization.Encoding.PEM)
    return {
        "certificate_file": secret_file(tmp_path / "certificate", public.decode()),
        "private_key_file": secret_file(tmp_path / "key", pem.decode()),
    }
