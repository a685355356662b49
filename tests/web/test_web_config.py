"""exporter-toolkit's file: what is right is taken, what is wrong named, and nothing is served half loaded."""

import os
import re
from pathlib import Path

import pytest

from exporter.settings_errors import ConfigurationError
from exporter.web.web_config import WebConfig, load
from tests.real.certificates import make_authority

HASH = "$2b$04$" + "a" * 53


def written(directory: Path, text: str) -> Path:
    path = directory / "web.yml"
    path.write_text(text)
    return path


def changed(path: Path, text: str) -> None:
    """Written anew, surely with another time."""
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def problems(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return str(caught.value)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    files = make_authority(tmp_path).leaf("server")
    return files.chain.name, files.key.name


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n", "basic_auth_users:\n", "http_server_config: {http2: false}"])
def test_nothing_set_is_valid(tmp_path: Path, text: str) -> None:
    settings = load(written(tmp_path, text))
    assert (settings.tls_server_config, settings.basic_auth_users, settings.rate_limit) == (None, {}, None)


def test_the_whole_format(tmp_path: Path, pair: tuple[str, str]) -> None:
    text = f"""
tls_server_config:
  cert_file: {pair[0]}
  key_file: {pair[1]}
  client_ca_file: {pair[0]}
  client_auth_type: RequireAndVerifyClientCert
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  prometheus: {HASH}
rate_limit: {{interval: 200ms, burst: 5}}
"""
    settings = load(written(tmp_path, text))
    assert settings.tls_server_config is not None
    assert settings.tls_server_config.cert_file == tmp_path / pair[0]
    assert settings.headers == {"Strict-Transport-Security": "max-age=31536000"}
    assert settings.rate_limit is not None
    assert (settings.rate_limit.interval, settings.rate_limit.burst) == (0.2, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("basic_auth_user: {}", "basic_auth_user: no such key; did you mean basic_auth_users?"),
        ("tls_server_config: {cert: x}", "tls_server_config.cert: no such key; did you mean cert_file?"),
        ("tls_server_config: {}", "tls_server_config.cert_file: is missing"),
        ("tls_server_config: {cert_file: no.pem, key_file: no.key}", "cert_file: there is no such file"),
        ("http_server_config: {headers: {X-Frame-Option: DENY}}", "did you mean X-Frame-Options"),
        ("http_server_config: {headers: {X-Frame-Options: \"a\\nb\"}}", "one line"),
        ("basic_auth_users: {admin: hunter2}", "user 1: not a bcrypt hash"),
        ("basic_auth_users: {admin: $2b$20$" + "a" * 53 + "}", "takes seconds"),
        ("basic_auth_users: {'a:b': " + HASH + "}", "colon"),
        ("rate_limit: {interval: fast}", "rate_limit.interval"),
        ("rate_limit: {burst: 0}", "rate_limit.burst"),
        ("- a list", "mapping"),
        ("a: [unclosed", "line"),
        ("\x00\x01", "web.yml"),
    ],
)  # fmt: skip
def test_every_mistake_has_its_place_and_no_secret(tmp_path: Path, text: str, said: str) -> None:
    found = problems(written(tmp_path, text))
    assert said in found
    assert "web.yml: " in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("client_auth_type: RequireAnyClientCert", "use RequireAndVerifyClientCert"),
        ("client_auth_type: VerifyClientCertIfGiven", "add client_ca_file"),
        ("client_auth_type: Require", "client_auth_type: not known here"),
        ("client_ca_file: {cert}", "has no effect"),
        ("min_version: SSL3", "min_version"),
        ("{{min_version: TLS13, max_version: TLS12}}", "above max_version"),
        ("cipher_suites: [RC4]", "not a known suite"),
        ("curve_preferences: [X25519]", "curve_preferences: no such key"),
    ],
)
def test_what_can_not_be_kept_as_strictly_is_an_error(
    tmp_path: Path, pair: tuple[str, str], more: str, said: str
) -> None:
    more = re.sub(r"{{(.*)}}", r"\1", more).replace(", ", "\n  ").replace("{cert}", pair[0])
    text = f"tls_server_config:\n  cert_file: {pair[0]}\n  key_file: {pair[1]}\n  {more}\n"
    assert said in problems(written(tmp_path, text))


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    (tmp_path / pair[1]).chmod(0o644)
    text = f"tls_server_config: {{cert_file: {pair[0]}, key_file: {pair[1]}}}"
    assert "chmod 0600" in problems(written(tmp_path, text))


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    assert "no such file" in problems(tmp_path / "absent.yml")


def test_a_change_is_taken_without_restart_and_a_bad_one_is_not(tmp_path: Path) -> None:
    path = written(tmp_path, f"basic_auth_users: {{first: {HASH}}}")
    web_config = WebConfig(path)
    assert set(web_config.current().basic_auth_users) == {"first"}
    changed(path, f"basic_auth_users: {{second: {HASH}}}")
    assert set(web_config.current().basic_auth_users) == {"second"}
    changed(path, "basic_auth_users: [")
    assert set(web_config.current().basic_auth_users) == {"second"}
    path.unlink()
    assert set(web_config.current().basic_auth_users) == {"second"}


def test_a_bad_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        WebConfig(written(tmp_path, "nonsense: true"))
