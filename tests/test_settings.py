"""The configuration: all of the contract's, every mistake at its place, and no value ever in a message."""

import errno
import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.catalogue import TARGETS
from exporter.settings import Settings, VantageSettings, parse_listen
from exporter.settings_errors import ConfigurationError
from exporter.settings_fields import MAX_DURATION, MIN_DURATION, parse_duration, parse_host, parse_positive
from exporter.settings_file import load
from exporter.vocabulary import AccountKind, Protocol

#: The contract's example, its ellipses filled in.
EXAMPLE = """
listen: 127.0.0.1:10193        # elsewhere without web_config: a warning
web_config: web.yml
allowed_hosts: []
probe:
  interval: 60s
  timeout: 5s
  targets: [imap, smtp, sign_in_work]
  custom: [{name: relay, protocol: smtp, host: relay.example, port: 587}]
  canary_interval: 15m
  canaries_per_hour: 120
  hold: {targets: [], every: 6h, duration: 15m}
vantages:
  - name: clients
    network_namespace: probe-client
  - name: wan
    interface: eth0
  - name: proxied
    proxy: http://proxy:3128
    proxy_credentials_file: /run/secrets/proxy
    resolver: 10.0.0.53
    source_address: 10.0.0.2
    ip_version: any
identity:
  roots_file: null
accounts:
  - name: canary-personal
    kind: oauth_personal
    username: someone@outlook.com
    client_id: 9e5f94bc-e8a4-4e73-b8be-63364c29d753
    authority: https://login.microsoftonline.com/consumers
    token_cache: /var/lib/outlook-auth-exporter/canary-personal
    vantages: [all]
    targets: [imap, smtp, pop]
  - name: canary-work
    kind: oauth_work
    client_id: 9e5f94bc-e8a4-4e73-b8be-63364c29d753
    client_secret_file: canary-work
    vantages: [clients, wan]
  - name: printer
    kind: app_password
    username: printer@contoso.example
    password_file: /etc/outlook-auth-exporter/printer
    allow_intercepted: true
    targets: [relay]
inspect:
  interfaces: [{name: eth1, side: inside}, {name: eth0, side: outside}]
  servers: [10.0.0.0/8]
  max_connections: 16384
  window: 15m
diagnosis: {controls: [www.example.com, "192.0.2.1:8443"], experiments_per_hour: 120}
privacy: {client_addresses: off}
"""
PLANTED = "hunter2Qplanted"


def problems_in(path: Path, env: Mapping[str, str]) -> tuple[str, ...]:
    """What is told of a file's configuration, none where it is taken."""
    try:
        load(path, env)
    except ConfigurationError as error:
        return tuple(error.problems)
    return ()


@pytest.fixture
def good(tmp_path):
    """Settings of a text and environment."""

    def read(text="", **env):
        path = tmp_path / "good.yml"
        path.write_text(text)
        return load(path, env)

    return read


@pytest.fixture
def bad(tmp_path):
    """The problems of a text and environment, without the directory's name."""

    def read(text="", **env):
        path = tmp_path / "bad.yml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigurationError) as raised:
            load(path, env)
        assert all("\n" not in problem for problem in raised.value.problems)
        return [problem.replace(f"{tmp_path}/", "") for problem in raised.value.problems]

    return read


def configured(**values: Any) -> Settings:
    """As written, before validation: text, lists and mappings where the model has its own types."""
    return Settings(**values)


class TestContract:
    def test_every_value_of_its_example(self, good, tmp_path):
        read = good(EXAMPLE)
        assert parse_listen(read.listen) == read.listen_address() == ("127.0.0.1", 10193)
        assert read.web_config == tmp_path / "web.yml"
        assert (read.probe.interval, read.probe.timeout, read.probe.canary_interval) == (60, 5, 900)
        assert (read.probe.hold.every, read.probe.hold.duration) == (21_600, 900)
        assert list(read.targets()) == ["imap", "smtp", "sign_in_work", "relay"]
        assert read.targets()["relay"].starttls
        clients, wan, proxied = read.vantages
        assert (clients.network_namespace, wan.interface) == ("probe-client", "eth0")
        assert (proxied.proxy, proxied.resolver) == ("http://proxy:3128", ("10.0.0.53", 53))
        assert (proxied.source_address, proxied.ip_version) == ("10.0.0.2", "any")
        assert [account.kind for account in read.accounts] == list(AccountKind)
        assert read.accounts[2].allow_intercepted
        assert [interface.side for interface in read.inspect.interfaces] == ["inside", "outside"]
        assert read.inspect.servers == (ipaddress.ip_network("10.0.0.0/8"),)
        assert read.diagnosis.controls == ("www.example.com", "192.0.2.1:8443")
        assert read.privacy.client_addresses == "off"

    def test_everything_has_a_working_default(self, good):
        for read in (load(None, {}), good(), good("probe:\nvantages:\n# all commented out\n")):
            assert read == Settings()
            assert read.targets() == TARGETS
            assert [vantage.name for vantage in read.vantages] == ["local"]
            assert read.warnings() == []

    def test_the_schema_has_its_properties_and_no_secret(self):
        schema = Settings.json_schema()
        assert set(schema["properties"]) == {
            "listen",
            "web_config",
            "allowed_hosts",
            "probe",
            "vantages",
            "identity",
            "accounts",
            "inspect",
            "diagnosis",
            "privacy",
            "history",
            "language",
        }
        named = set(
            re.findall(r'"(\w*(?:secret|password|token|key|credentials)\w*)": \{', str(schema).replace("'", '"'))
        )
        assert {name for name in named if not name.endswith("_file")} == {"token_cache"}

    def test_the_contract_check_of_bad_input(self, bad):
        for text, expected in [
            ("probe: {targets: [imapp]}\n", "imap"),
            ("vantagess: []\n", "vantages"),
            ("probe: {interval: fast}\n", "probe.interval"),
            ("vantages: [{name: a}, {name: a}]\n", "vantages"),
            ("accounts: [{name: x, kind: magic}]\n", "accounts"),
            ("accounts: [{name: x, kind: oauth_work, client_id: a, client_secret: hunter2}]\n", "client_secret_file"),
            ("listen: [unclosed\n", "line"),
            ("\x00\x01binary", "bad.yml"),
        ]:
            said = "\n".join(bad(text))
            assert re.search(rf"\b{re.escape(expected)}\b", said), (text, said)
            assert "hunter2" not in said

    def test_settings_are_frozen(self):
        read = Settings()
        for section, key in [(read, "listen"), (read.probe, "interval"), (read.vantages[0], "name")]:
            with pytest.raises(ValidationError):
                setattr(section, key, "x")

    def test_the_process_environment_is_not_read(self, monkeypatch):
        monkeypatch.setenv("OUTLOOK_EXPORTER_LISTEN", "127.0.0.1:1")
        assert load(None, {}).listen == Settings().listen == "127.0.0.1:10193"


class TestMistakes:
    """Each line: a configuration, and all that is said of it."""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "vantages: [{name: a}, {nmae: b}]",
                ["vantages[1].name: is missing; add it", "vantages[1].nmae: no such key; did you mean name?"],
            ),
            (
                "probe: {qqqq: 1}",
                [
                    "probe.qqqq: no such key; one of: interval, timeout, targets, custom, canary_interval, "
                    "canaries_per_hour, hold, concurrency, replies_file, private_networks"
                ],
            ),
            (
                "vantages: [{name: a}, {name: b}, {name: a}]",
                ["vantages[2].name: is the name of vantages[0] already; choose another"],
            ),
            (
                "accounts: [{name: a, kind: oauth_personal, client_id: c, token_cache: /x}, "
                "{name: b, kind: oauth_personal, client_id: c, token_cache: /x}]",
                [
                    "accounts[1].token_cache: is that of accounts[0] already; each account needs a file of its own",
                ],
            ),
            ("vantages: [{name: all}]", ["vantages[0].name: all has a meaning of its own; choose another name"]),
            ("vantages: a", ["vantages: must be a list"]),
            ("probe: [a]", ["probe: must be a mapping of keys to values"]),
            ("probe: {hold: {targets: [imap, pup]}}", ["probe.hold.targets[1]: no such target; did you mean pop?"]),
            (
                "probe: {custom: [{name: relay}]}",
                [
                    "probe.custom[0].protocol: is missing; one of: imap, pop, smtp, sign_in, activesync, https, http",
                    "probe.custom[0].host: is missing; add it",
                ],
            ),
            (
                "probe: {custom: [{name: w, protocol: https, host: w.example, tls: implicit}]}",
                ["probe.custom[0].tls: belongs to imap, pop, smtp only; remove it"],
            ),
            (
                "probe: {custom: [{name: w, protocol: https, host: w, hosts: [w]}]}",
                ["probe.custom[0].hosts: host is there too; write one of the two"],
            ),
            (
                "vantages: [{name: a, proxy_credentials_file: x}]",
                ["vantages[0].proxy_credentials_file: needs a proxy; add it"],
            ),
            (
                "vantages: [{name: a, source_address: '::1', ip_version: 4}]",
                ["vantages[0].source_address: is not of ip_version 4; change one of the two"],
            ),
            (
                "vantages: [{name: a, network_namespace: b, vantage_socket: /c}]",
                ["vantages[0].vantage_socket: network_namespace is there too; write one of the two"],
            ),
            ("vantages: [{name: a, ip_version: 5}]", ["vantages[0].ip_version: not known here; one of: any, 4, 6"]),
            (
                "accounts: [{name: a, kind: oauth_work}]",
                ["accounts[0].client_id: is missing; an account of kind oauth_work needs it"],
            ),
            (
                "accounts: [{name: a, kind: oauth_personal, client_id: b, password_file: c}]",
                ["accounts[0].password_file: belongs to accounts of kind app_password; remove it, or change the kind"],
            ),
            (
                "accounts: [{name: a, kind: app_password, username: b}]",
                ["accounts[0].password_file: is missing; an account of kind app_password needs it"],
            ),
            (
                "accounts: [{name: a, kind: oauth_work, client_id: b, client_secret_file: c, certificate_file: d, "
                "private_key_file: e}]",
                ["accounts[0].client_secret_file: a certificate is there too; write one of the two"],
            ),
            (
                "accounts: [{name: a, kind: oauth_work, client_id: b, certificate_file: d}]",
                ["accounts[0].private_key_file: is missing; certificate_file needs it"],
            ),
            (
                "accounts: [{name: a, kind: oauth_work, client_id: b, private_key_file: d}]",
                ["accounts[0].certificate_file: is missing; private_key_file needs it"],
            ),
            (
                "accounts: [{name: a, kind: oauth_work, client_id: b, vantages: [locl], targets: [imapp]}]",
                [
                    "accounts[0].targets[0]: no such target; did you mean imap?",
                    "accounts[0].vantages[0]: no such vantage; did you mean local?",
                ],
            ),
            (
                "inspect: {interfaces: [{name: eth0, side: left}]}",
                ["inspect.interfaces[0].side: not known here; one of: inside, outside"],
            ),
            ("inspect: {max_connections: 0}", ["inspect.max_connections: must be at least 1"]),
            (
                "privacy: {client_addresses: on}",
                ["privacy.client_addresses: not known here; one of: off, hashed, plain"],
            ),
            (
                "_env_file: /etc/passwd",
                [
                    "_env_file: no such key; one of: listen, web_config, allowed_hosts, probe, "
                    "vantages, identity, accounts, inspect, diagnosis, privacy, history, language"
                ],
            ),
            ("- a", ["line 1: must be a mapping of keys to values, such as 'listen: 127.0.0.1:10193'"]),
            ("a: 1\na: 2", ["line 2: a is there already, in line 1; remove one of them"]),
        ],
    )
    def test_in_words(self, bad, text, said):
        expected = [line.replace("…", "") for line in said]
        got = bad(text)
        assert got == [
            f"bad.yml: {'' if line[0] != '_' else '…'}{line if line[0] != '_' else line[9:]}" for line in expected
        ]

    def test_all_are_told_at_once_whatever_their_kind(self, bad):
        said = bad(
            "listenn: x\nprobe: {interval: fast, targets: [imapp]}\nvantages: [{name: a}, {name: a, proxy: x}]\n"
            "accounts: [{name: x, kind: oauth_work, password: hunter2}]\n"
        )
        assert [line.split(": ")[1] for line in said] == [
            "accounts[0].password",
            "probe.interval",
            "vantages[1].proxy",
            "listenn",
            "vantages[1].name",
            "probe.targets[0]",
            "accounts[0].client_id",
        ]


class TestFile:
    def test_absent(self, tmp_path):
        (said,) = problems_in(tmp_path / "absent.yml", {})
        assert said == f"{tmp_path}/absent.yml: there is no such file; create it, or name another"

    def test_a_directory(self, tmp_path):
        (said,) = problems_in(tmp_path, {})
        assert said == f"{tmp_path}: is a directory; name the file in it"

    def test_a_name_that_is_none(self):
        assert [*problems_in(Path("a\0b\x1b[2J"), {})] == ["a\\x00b\\x1b[2J: is not a usable file name"]

    def test_unreadable(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)  # root reads everything
        (said,) = problems_in(tmp_path / "a.yml", {})
        assert said == f"{tmp_path}/a.yml: can't be read by this user; change its mode or owner"

    def test_endless(self):
        (said,) = problems_in(Path("/dev/zero"), {})
        assert said.startswith("/dev/zero: is larger than")

    def test_a_good_one_has_no_problem(self, tmp_path):
        path = tmp_path / "good.yml"
        path.write_text(EXAMPLE)
        assert problems_in(path, {}) == ()

    def test_file_names_are_relative_to_it(self, good, tmp_path, monkeypatch):
        monkeypatch.chdir("/")
        read = good("web_config: a/web.yml\nidentity: {roots_file: /etc/roots.pem}\nprobe: {replies_file: r.yaml}")
        assert read.web_config == tmp_path / "a/web.yml"
        assert read.identity.roots_file == Path("/etc/roots.pem")
        assert read.probe.replies_file == tmp_path / "r.yaml"

    def test_a_secret_that_others_can_read(self, tmp_path, good, bad):
        secret = tmp_path / "secret"
        secret.write_text(PLANTED)
        text = f"accounts: [{{name: a, kind: oauth_work, client_id: b, client_secret_file: {secret}}}]"
        secret.chmod(0o600)
        assert good(text)
        secret.chmod(0o640)
        (said,) = bad(text)
        assert said.startswith(
            "bad.yml: accounts[0].client_secret_file: the file can be read by its group or by others"
        )
        (said,) = bad(text.replace(str(secret), "secret"), CREDENTIALS_DIRECTORY=str(tmp_path))
        assert "chmod 0600" in said


class TestEnvironment:
    def test_it_overrides_the_file_key_by_key(self, good):
        read = good(
            "listen: 127.0.0.1:1\nprobe: {interval: 1m, timeout: 9s, targets: [imap]}",
            OUTLOOK_EXPORTER_LISTEN="127.0.0.1:2",
            OUTLOOK_EXPORTER_PROBE__INTERVAL="2m",
            OUTLOOK_EXPORTER_PROBE__TARGETS='["smtp", "pop"]',
            OUTLOOK_EXPORTER_PROBE__HOLD__EVERY="1h",
        )
        assert read.listen == "127.0.0.1:2"
        assert (read.probe.interval, read.probe.timeout, read.probe.hold.every) == (120, 9, 3600)
        assert read.probe.targets == ("smtp", "pop")

    def test_json_plain_and_null(self, good):
        read = good(
            "web_config: web.yml",
            OUTLOOK_EXPORTER_VANTAGES='[{"name": "a", "ip_version": 4}, {"name": "b"}]',
            OUTLOOK_EXPORTER_PROBE='{"concurrency": 3, "interval": 0.5}',
            OUTLOOK_EXPORTER_PROBE__CONCURRENCY="5",
            OUTLOOK_EXPORTER_PROBE__TARGETS="imap, smtp",
            OUTLOOK_EXPORTER_WEB_CONFIG="null",
            OUTLOOK_EXPORTER_ALLOWED_HOSTS="",
        )
        assert [vantage.name for vantage in read.vantages] == ["a", "b"]
        assert (read.probe.concurrency, read.probe.interval, read.probe.targets) == (5, 0.5, ("imap", "smtp"))
        assert read.web_config is None

    @pytest.mark.parametrize(
        ("variable", "value", "said"),
        [
            ("PROBE__INTERVAL", "fast", "PROBE__INTERVAL: must be a positive duration"),
            ("LISTENN", "x", "LISTENN: no such key; did you mean listen?"),
            ("PROBE__INTERVALL", "1s", "PROBE__INTERVALL: no such key; did you mean interval?"),
            ("VANTAGES", '[{"name": "a"}, {}]', "VANTAGES[1].name: is missing"),
            ("VANTAGES", '[{"name": "a"}', "VANTAGES: is not valid JSON"),
            ("PROBE__TARGETS", "imap,smtpp", "PROBE__TARGETS[1]: no such target; did you mean smtp?"),
            ("LISTEN__", "x", "LISTEN__: names no key"),
            ("LISTEN", "\x1b[2J", "LISTEN: is not valid JSON; a control character"),
            ("PROBE", "60s", "PROBE: must be a mapping"),
        ],
    )
    def test_mistakes_name_the_variable(self, bad, variable, value, said):
        (line,) = bad("", **{f"OUTLOOK_EXPORTER_{variable}": value})
        assert line.startswith(f"environment: OUTLOOK_EXPORTER_{said}")

    def test_mistakes_of_file_and_environment_are_told_apart(self, bad):
        said = bad("probe: {timeout: x}", OUTLOOK_EXPORTER_PROBE__INTERVAL="x")
        assert [line.split(": ")[:2] for line in said] == [
            ["environment", "OUTLOOK_EXPORTER_PROBE__INTERVAL"],
            ["bad.yml", "probe.timeout"],
        ]

    def test_a_plain_value_above_a_nested_one(self, bad):
        said = bad("", OUTLOOK_EXPORTER_PROBE="x", OUTLOOK_EXPORTER_PROBE__INTERVAL="1s")
        assert said[0].startswith("environment: OUTLOOK_EXPORTER_PROBE__INTERVAL: OUTLOOK_EXPORTER_PROBE is set too")

    def test_what_kubernetes_sets_beside_a_service_of_our_name(self, good):
        assert good(
            "",
            OUTLOOK_EXPORTER_SERVICE_HOST="10.0.0.1",
            OUTLOOK_EXPORTER_SERVICE_PORT_METRICS="10193",
            OUTLOOK_EXPORTER_PORT="tcp://10.0.0.1:10193",
            OUTLOOK_EXPORTER_PORT_10193_TCP_ADDR="10.0.0.1",
            HTTPS_PROXY="http://user:pass@proxy",
        )

    @pytest.mark.parametrize(
        "env",
        [
            {"OUTLOOK_EXPORTER_PASSWORD": PLANTED},
            {"OUTLOOK_EXPORTER_CLIENT_SECRET": PLANTED},
            {"OUTLOOK_EXPORTER_ACCOUNTS": f'[{{"name": "a", "kind": "app_password", "password": "{PLANTED}"}}]'},
            {"OUTLOOK_EXPORTER_ACCOUNTS__CLIENT_SECRET": PLANTED},
        ],
    )
    def test_a_secret_in_it(self, bad, env):
        said = bad("", **env)
        assert re.search(r"^environment: OUTLOOK_EXPORTER_\S+: a secret doesn't belong here; .*_file", said[0])
        assert PLANTED not in "\n".join(said)


class TestSecrets:
    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("accounts: [{name: x, kind: oauth_work, client_id: a, client_secret: %s}]", "client_secret_file"),
            ("accounts: [{name: x, kind: oauth_work, client_id: a, clientSecret: %s}]", "client_secret_file"),
            ("accounts: [{name: x, kind: app_password, username: a, password: %s}]", "password_file"),
            ("accounts: [{name: x, kind: app_password, username: a, password: {%s: 1}}]", "password_file"),
            ("accounts: [{name: x, kind: app_password, username: a, password: [%s]}]", "password_file"),
            ("accounts: [{name: x, kind: app_password, username: a, password:%s}]", "password_file"),
            ("accounts: [{name: x, kind: app_password, username: a, password_file: '%s ~'}]", "password_file"),
            ("accounts: [{name: x, kind: oauth_personal, client_id: a, token: %s}]", "token_cache"),
            ("accounts: [{name: x, kind: oauth_personal, client_id: a, refresh-token: %s}]", "token_cache"),
            ("accounts: [{name: x, kind: oauth_work, client_id: a, private_key: %s}]", "private_key_file"),
            (
                "accounts: [{name: x, kind: oauth_work, private_key_file: '-----BEGIN RSA PRIVATE KEY-----%s'}]",
                "private_key_file",
            ),
            (
                "accounts: [{name: x, kind: oauth_personal, client_id: a, username: eyJhbGciOiJI.eyJpc3MiOiJI.%s}]",
                "token_cache",
            ),
            ("vantages: [{name: x, proxy: 'http://user:%s@proxy:3128'}]", "proxy_credentials_file"),
            ("vantages: [{name: x, proxy: 'http://user:p/%s@proxy:3128'}]", "proxy_credentials_file"),
            ("vantages: [{name: x, proxy: 'user:%s@proxy:3128'}]", "proxy_credentials_file"),
            ("vantages: [{name: x, proxy: 'http://p', proxy_credentials: %s}]", "proxy_credentials_file"),
            ("vantages: [{name: x, proxy: 'http://p', password: %s}]", "proxy_credentials_file"),
            (
                "accounts: [{name: x, kind: oauth_work, client_id: a, authority: 'https://u:%s@login.example'}]",
                "proxy_credentials_file",
            ),
            ("password: %s", "password_file"),
        ],
    )
    def test_inline_names_the_right_key_and_is_not_shown(self, bad, text, key):
        said = "\n".join(bad(text % PLANTED))
        assert key in said
        assert PLANTED not in said

    @pytest.mark.parametrize(
        "text",
        [
            "password: %s: x",
            "password: '%s",
            "password: *%s",
            "a: [\n%s",
            "client_secret: !%s x",
            "? password\n: - %s\n - x",
            'password: "\\%s"',
            "password: |\n%s",
        ],
    )
    def test_nor_by_a_syntax_error(self, bad, text):
        assert PLANTED not in "\n".join(bad(text % PLANTED))

    @given(st.data())
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_planted_anywhere_a_value_stands_it_is_never_shown(self, tmp_path, data):
        document = yaml.safe_load(EXAMPLE)
        places = [place for place in _leaves(document) if place[1] != "name"]  # names are labels: public
        for container, key in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
            container[key] = data.draw(
                st.sampled_from([PLANTED, [PLANTED], {"a": PLANTED}, f"//{PLANTED}@x", f"{PLANTED} x"])
            )
        path = tmp_path / "planted.yml"
        path.write_text(json.dumps(document))
        assert PLANTED not in "\n".join(problems_in(path, {}))

    @given(
        st.dictionaries(
            st.sampled_from(["client_secret", "password", "token", "private_key", "proxy_credentials"]),
            st.sampled_from([PLANTED, [PLANTED], {PLANTED: PLANTED}]),
            min_size=1,
        )
    )
    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_planted_under_a_key_of_secrets_it_is_told_and_never_shown(self, tmp_path, planted):
        path = tmp_path / "planted.yml"
        path.write_text(json.dumps({"accounts": [{"name": "a", "kind": "oauth_work", "client_id": "b", **planted}]}))
        said = "\n".join(problems_in(path, {}))
        assert all(f"accounts[0].{key}: " in said for key in planted)
        assert PLANTED not in said


def _leaves(node):
    for key, value in list(node.items()) if isinstance(node, dict) else list(enumerate(node)):
        if isinstance(value, dict | list) and value:
            yield from _leaves(value)
        yield node, key


class TestValues:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("60s", 60),
            ("15m", 900),
            ("2h", 7200),
            ("1d", 86_400),
            ("500ms", 0.5),
            ("1h30m", 5400),
            ("1w", 604_800),
            ("5", 5),
            ("0.5", 0.5),
            (5, 5),
            (0.5, 0.5),
            (" 5s ", 5),
            ("1e3", 1000),
            ("1.5h", 5400),
            ("999999999999d", MAX_DURATION),
            ("1e-300", MIN_DURATION),
            (1e300, MAX_DURATION),
        ],
    )
    def test_durations(self, text, seconds):
        assert parse_duration(text) == seconds

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "fast",
            "0",
            "0s",
            "-5",
            "-1s",
            "5 minutes",
            "5S",
            "nan",
            "inf",
            ".inf",
            True,
            None,
            [],
            "1e999999",
            "s",
            "5s5",
            "٥s",
            "1_000",
            "1s" * 50,
            "0x10",
        ],
    )
    def test_no_durations(self, text):
        with pytest.raises(ValueError, match="must be"):
            parse_duration(text)

    @given(st.floats(min_value=1e-9, max_value=1e12))
    @example(0.0033188147731720687)  # more decimals than were taken once
    def test_any_positive_interval_and_budget_is_valid(self, number):
        read = load(
            None,
            {
                "OUTLOOK_EXPORTER_PROBE__INTERVAL": repr(number),
                "OUTLOOK_EXPORTER_PROBE__CANARIES_PER_HOUR": repr(number),
            },
        )
        assert read.probe.interval == min(max(number, MIN_DURATION), MAX_DURATION)
        assert read.probe.canaries_per_hour == number

    @pytest.mark.parametrize("text", ["0", "-1", "nan", "1e999", True, ""])
    def test_no_positive_number(self, text):
        with pytest.raises(ValueError, match="more than 0"):
            parse_positive(text)

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("127.0.0.1:10193", ("127.0.0.1", 10193)),
            ("127.0.0.1:0", ("127.0.0.1", 0)),
            ("[::1]:0", ("::1", 0)),
            ("[::]:65535", ("::", 65535)),
            ("localhost:80", ("localhost", 80)),
            ("0.0.0.0:1", ("0.0.0.0", 1)),
        ],
    )
    def test_listen(self, text, address):
        assert configured(listen=text).listen_address() == address

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "127.0.0.1",
            ":10193",
            "::1:80",
            "[::1]",
            "127.0.0.1:65536",
            "example.com:80",
            "127.0.0.1:x",
            "[127.0.0.1:1",
            "127.0.0.1:-1",
            "http://127.0.0.1:1",
            "*:1",
            "1.2.3:4",
        ],
    )
    def test_no_listen(self, text):
        with pytest.raises(ValidationError):
            configured(listen=text)

    @pytest.mark.parametrize(
        ("text", "resolver"),
        [
            ("10.0.0.53", ("10.0.0.53", 53)),
            ("10.0.0.53:5353", ("10.0.0.53", 5353)),
            ("::1", ("::1", 53)),
            ("[::1]", ("::1", 53)),
            ("[::1]:5353", ("::1", 5353)),
        ],
    )
    def test_resolver(self, text, resolver):
        assert VantageSettings.model_validate({"name": "a", "resolver": text}).resolver == resolver

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("resolver", "dns.example"),
            ("resolver", "10.0.0.53:0"),
            ("resolver", "10.0.0.53:99999"),
            ("proxy", "proxy:3128"),
            ("proxy", "ftp://proxy"),
            ("proxy", "http://"),
            ("proxy", "http://p:99999"),
            ("proxy", "http://p/path"),
            ("proxy", "http://p?q"),
            ("proxy", "http://[::1"),
            ("proxy", "http://p:0"),
            ("interface", "a/b"),
            ("interface", "sixteen-chars-xx"),
            ("interface", ".."),
            ("interface", ""),
            ("network_namespace", "../x"),
            ("network_namespace", ".."),
            ("source_address", "eth0"),
            ("name", ""),
            ("name", "a b"),
            ("name", "-a"),
            ("name", "a" * 65),
            ("name", "é"),
            ("name", 'a"b'),
            ("name", "a\n"),
            ("proxy_credentials_file", "a/b"),
            ("ip_version", "5"),
            ("ip_version", True),
        ],
    )
    def test_no_vantage(self, key, value):
        with pytest.raises(ValidationError):
            VantageSettings.model_validate({"name": "a", key: value})

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("proxy", "https://proxy.example"),
            ("proxy", "socks5://10.0.0.1:1080"),
            ("proxy", "socks5h://[::1]:1"),
            ("network_namespace", "probe-client"),
            ("interface", "eth0.100"),
            ("ip_version", 6),
            ("name", "Site_1.wan-2"),
            ("name", "a" * 64),
        ],
    )
    def test_vantage(self, key, value):
        assert getattr(VantageSettings.model_validate({"name": "a", key: value}), key) == (
            str(value) if value == 6 else value
        )

    @pytest.mark.parametrize(
        ("text", "host"),
        [
            ("Relay.Example.", "relay.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("a_b.example", "a_b.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ],
    )
    def test_hosts(self, text, host):
        assert parse_host(text) == host

    @pytest.mark.parametrize(
        "text", ["", "a:1", "a/b", "a b", "bücher.example", "-a", "a..b", "1.2.3", "x" * 64, "http://a", 5]
    )
    def test_no_hosts(self, text):
        with pytest.raises(ValueError, match="must be"):
            parse_host(text)


class TestTargets:
    def custom(self, **values):
        read = configured(probe={"targets": [], "custom": [values]})
        (target,) = read.targets().values()
        assert target.custom
        return target

    @pytest.mark.parametrize(
        ("protocol", "port", "tls", "expected_port", "starttls"),
        [
            ("smtp", None, None, 587, True),
            ("smtp", 465, None, 465, False),
            ("smtp", 2587, None, 2587, True),
            ("smtp", 587, "implicit", 587, False),
            ("smtp", 465, "starttls", 465, True),
            ("imap", None, None, 993, False),
            ("imap", 143, None, 143, True),
            ("imap", 1993, None, 1993, False),
            ("imap", 1143, "starttls", 1143, True),
            ("pop", None, None, 995, False),
            ("pop", 110, None, 110, True),
            ("https", None, None, 443, False),
            ("http", None, None, 80, False),
            ("sign_in", None, None, 443, False),
        ],
    )
    def test_custom_ports_and_tls(self, protocol, port, tls, expected_port, starttls):
        target = self.custom(name="x", protocol=protocol, host="x.example", port=port, tls=tls)
        assert (target.port, target.starttls, target.hosts) == (expected_port, starttls, ("x.example",))

    def test_one_with_a_catalogue_name_replaces_it_and_takes_what_it_does_not_say(self):
        target = self.custom(name="activesync", host="127.0.0.1", port=8443)
        assert (target.protocol, target.path) == (Protocol.ACTIVESYNC, TARGETS["activesync"].path)
        assert (target.host, target.port) == ("127.0.0.1", 8443)

    def test_several_hosts_and_a_path(self):
        target = self.custom(name="x", protocol="https", hosts=["a.example", "b.example"], path="/x?y")
        assert (target.hosts, target.path) == (("a.example", "b.example"), "/x?y")

    def test_named_twice_is_probed_once_and_none_is_none(self):
        assert list(configured(probe={"targets": ["pop", "imap", "pop"]}).targets()) == ["pop", "imap"]
        assert configured(probe={"targets": []}).targets() == {}
        assert configured(probe={"targets": []}).all_targets() == TARGETS

    def test_an_account_meets_a_custom_target_only_where_it_names_it(self):
        probe = {"custom": [{"name": "imap", "host": "127.0.0.1"}]}
        account = {"name": "a", "kind": "oauth_personal", "client_id": "b"}
        unnamed = configured(probe=probe, accounts=[account])
        assert list(unnamed.account_targets(unnamed.accounts[0])) == ["smtp", "pop"]
        named = configured(probe=probe, accounts=[{**account, "targets": ["imap"]}])
        assert named.account_targets(named.accounts[0])["imap"].custom

    @pytest.mark.parametrize("kind", AccountKind)
    def test_the_defaults_of_each_kind_exist(self, kind):
        fields = {"client_id": "b"} if kind is not AccountKind.APP_PASSWORD else {"username": "b", "password_file": "c"}
        read = configured(accounts=[{"name": "a", "kind": kind, **fields}])
        assert read.account_targets(read.accounts[0])
        assert (read.accounts[0].authority_or_default() is None) == (kind is AccountKind.APP_PASSWORD)


class TestWarnings:
    @pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"])
    def test_listening_elsewhere_without_web_config(self, listen):
        assert [line.split(":")[0] for line in configured(listen=listen).warnings()] == ["listen"]
        assert configured(listen=listen, web_config="web.yml").warnings() == []

    @pytest.mark.parametrize("listen", ["127.9.9.9:1", "[::1]:1", "localhost:1"])
    def test_on_loopback(self, listen):
        assert configured(listen=listen).on_loopback()
        assert configured(listen=listen).warnings() == []

    def test_accounts(self):
        account = {
            "name": "a",
            "kind": "oauth_work",
            "client_id": "b",
            "client_secret_file": "c",
            "allow_intercepted": True,
        }
        said = configured(accounts=[account]).warnings()
        assert [line.split(":")[0] for line in said] == [
            "accounts[0].username",
            "accounts[0].authority",
            "accounts[0].allow_intercepted",
        ]


KEYS = st.sampled_from(
    [
        *Settings.model_fields,
        "name",
        "kind",
        "targets",
        "custom",
        "protocol",
        "hold",
        "interfaces",
        "password",
        "x",
        "_secrets_dir",
        "self",
        "tls",
        "proxy",
        "resolver",
        "port",
        "host",
        "hosts",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.dates(),
    st.sampled_from(
        ["imap", "smtp", "oauth_work", "all", "off", "1s", "10.0.0.1", "::1", "http://a", "9" * 4400, "1:1:1"]
    ),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(KEYS, st.text()), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(DOCUMENTS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_document_is_settings_or_a_configuration_error(tmp_path, document):
    path = tmp_path / "any.yml"
    path.write_text(yaml.safe_dump(document, allow_unicode=False))
    for line in problems_in(path, {}):
        assert line.startswith(f"{path}: ")
        assert line.isprintable()


@given(st.binary())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_settings_or_a_configuration_error(tmp_path, content):
    path = tmp_path / "any.yml"
    path.write_bytes(content)
    assert all(line.startswith(f"{path}: ") for line in problems_in(path, {}))


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "LISTEN",
                "PROBE",
                "PROBE__INTERVAL",
                "PROBE__HOLD__X",
                "VANTAGES",
                "ACCOUNTS__X",
                "__",
                "",
                "PROBE__",
                "é",
            ]
        ),
        st.one_of(st.text(), st.just('[{"name": "a"}]')),
    )
)
@settings(deadline=None)
def test_any_environment_is_settings_or_a_configuration_error(variables):
    try:
        load(None, {f"OUTLOOK_EXPORTER_{name}": value for name, value in variables.items()})
        problems = ["none"]
    except ConfigurationError as error:
        problems = error.problems
    assert problems
    assert all(line.isprintable() for line in problems)
