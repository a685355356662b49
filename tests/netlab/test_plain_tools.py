"""Each scenario is what it says, by plain tools: openssl, curl, getent, bash; at the client and at the gateway.

So that a mistake of the lab isn't taken for one of a diagnosis. Where the fault is the clients' alone, the gateway, which
has a way of its own, is well.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.netlab.lab import NetLab, net_lab
from tests.netlab.scenarios import SCENARIOS
from tests.probe.namespaces import root

pytestmark = root

IMAP, WORK, LIVE, SMTP = "imap-mail.outlook.com", "login.microsoftonline.com", "login.live.com", "smtp-mail.outlook.com"
#: What a handshake that went well, or ended at once, shows of openssl; what ran into its time-out shows.
GOOD, ENDED, SILENT = r"(?s)Server certificate.*Verify return code: 0", "errno=(104|32)", "status 124"
OPEN, MICROSOFTS, WELCOME = "status 0", "DigiCert", "Microsoft ESMTP"
#: A ClientHello of some 1,700 bytes.
LARGE = "-alpn " + ",".join(letter * 250 for letter in "abcdef")
TOKEN = "EwB" + "x" * 3_000


def opened(host: str, port: int) -> str:
    return f"timeout 2 bash -c '</dev/tcp/{host}/{port}' 2>&1; echo status $?"


def shaken(host: str, port: int, more: str = "") -> str:
    handshake = f"openssl s_client -connect {host}:{port} -servername {host} -CAfile $TRUST {more} </dev/null 2>&1"
    return f"timeout 3 {handshake}; echo status $?"


def fetched(url: str, shown: str, more: str = "") -> str:
    return f"curl -ks -o /dev/null --max-time 6 {more} -w '%{{{shown}}}' {url}"


def addresses(host: str, family: str = "v4") -> str:
    """Once more where the resolver has only just begun."""
    return f"getent ahosts{family} {host} || {{ sleep 0.5; getent ahosts{family} {host}; }}"


ISSUER = " | grep issuer="
BANNER = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{SMTP}/587; head -n 1 <&3'"
EHLO = "(sleep 0.3; printf 'EHLO x\\r\\nQUIT\\r\\n'; sleep 0.5) | " + shaken(
    SMTP, 587, "-starttls smtp -quiet"
).replace("</dev/null", "")
SIGN_IN = f"https://{WORK}/common/oauth2/v2.0/token"
ASKED = f"curl -ks --max-time 6 -d grant_type=x {SIGN_IN}"
PRESENTED = (
    f"curl -s -o /dev/null --max-time 4 --cacert $TRUST imaps://{IMAP}/INBOX --user a@b.example "
    f"--oauth2-bearer {TOKEN}; echo status $?"
)
REFUSED_TOKEN = "status 67"
EACH_ADDRESS = (
    f"for each in $(getent ahostsv4 {IMAP} | cut -d' ' -f1 | sort -u); do "
    'timeout 2 bash -c "</dev/tcp/$each/993" 2>&1; echo status $?; done'
)
AHEAD = f"echo $(( $(date -d \"$(curl -skI https://{LIVE}/ | sed -n 's/^[Dd]ate: //p')\" +%s) - $(date +%s) ))"
AFTER_SILENCE = "(sleep 17; printf 'a1 NOOP\\r\\n'; sleep 2) | " + shaken(IMAP, 993, "-quiet").replace(
    "</dev/null", ""
).replace("timeout 3", "timeout 22")
SAID_OK = r"a1 OK"


def by_proxy(url: str) -> str:
    return fetched(url, "http_connect", "-x http://10.77.1.1:3128")


#: Scenario, command, and what it must show at the client and at the gateway, as regular expressions.
ROWS = [
    ("dns_nxdomain", addresses(WORK), "^$", r"203\.0\.113"),
    ("dns_sinkhole", addresses(LIVE), r"10\.77\.1\.1", r"203\.0\.113"),
    ("dns_zero", addresses(IMAP), r"0\.0\.0\.0", r"203\.0\.113"),
    ("dns_unanswered", addresses(LIVE), "^$", r"203\.0\.113"),
    ("dns_another_public_address", addresses(IMAP), r"203\.0\.113\.77", r"198\.51\.100"),
    ("dns_upstream_dead", addresses(IMAP), "^$", r"203\.0\.113"),
    ("name_led_to_nginx", addresses(LIVE), r"10\.77\.1\.1", r"203\.0\.113"),
    ("mail_ports_dropped", opened(IMAP, 993), SILENT, OPEN),
    ("mail_ports_reset", opened(IMAP, 993), "refused", OPEN),
    ("mail_ports_reset_beyond", opened(IMAP, 993), "refused", "refused"),
    ("submission_prohibited", opened(SMTP, 587), "(?s)status (1|124)", OPEN),
    ("submission_dropped_by_nft", opened(SMTP, 587), SILENT, OPEN),
    ("sign_in_prohibited_by_address", opened(WORK, 443), "(?s)status (1|124)", OPEN),
    ("dropped_beyond", opened(IMAP, 993), SILENT, SILENT),
    ("answers_to_syns_dropped", opened(IMAP, 993), SILENT, OPEN),
    ("one_address_dead", EACH_ADDRESS, "(?s)status 124.*status 0|status 0.*status 124", "status 0\nstatus 0"),
    ("ipv6_ends_beyond", addresses(IMAP, "v6"), "2001:db8::77", "::ffff:203"),
    ("ipv6_ends_beyond", opened("2001:db8::77", 993), SILENT, SILENT),
    ("large_packets_lost", shaken(IMAP, 993), SILENT, GOOD),
    ("large_packets_lost_beyond", shaken(IMAP, 993), SILENT, SILENT),
    ("name_reset", shaken(WORK, 443), ENDED, GOOD),
    ("name_dropped", shaken(LIVE, 443), SILENT, GOOD),
    ("name_reset_beyond", shaken(WORK, 443), ENDED, ENDED),
    ("name_dropped_beyond", shaken(WORK, 443), SILENT, SILENT),
    ("imap_name_reset", shaken(IMAP, 993), ENDED, GOOD),
    ("imap_name_reset", shaken("outlook.office365.com", 993), GOOD, GOOD),
    ("every_outlook_name_dropped", shaken(IMAP, 993), SILENT, GOOD),
    ("every_outlook_name_dropped", shaken(LIVE, 443), GOOD, GOOD),
    ("every_hello_reset", shaken(IMAP, 993), ENDED, GOOD),
    ("haproxy_refuses_a_name", shaken(WORK, 443), "no peer certificate", GOOD),
    ("large_hello_lost", shaken(IMAP, 993, LARGE), SILENT, GOOD),
    ("large_hello_lost", shaken(IMAP, 993), GOOD, GOOD),
    ("large_hello_reset", shaken(IMAP, 993, LARGE), ENDED, GOOD),
    ("large_segments_of_clients_lost", shaken(IMAP, 993, LARGE), SILENT, GOOD),
    ("tls_1_3_refused", shaken(WORK, 443), "alert protocol version", GOOD),
    ("tls_1_3_refused", shaken(WORK, 443, "-tls1_2"), GOOD, GOOD),
    ("intercepted", shaken(WORK, 443) + ISSUER, "Fortinet", MICROSOFTS),
    ("mail_intercepted", shaken(IMAP, 993) + ISSUER, "Contoso", MICROSOFTS),
    ("mitmproxy_ends_tls", shaken(WORK, 443) + ISSUER, "mitmproxy", MICROSOFTS),
    ("haproxy_ends_tls", shaken(IMAP, 993) + ISSUER, "Example Gateway", MICROSOFTS),
    ("starttls_stripped", shaken(SMTP, 587, "-starttls smtp"), "Didn't find STARTTLS", GOOD),
    ("starttls_masked", shaken(SMTP, 587, "-starttls smtp"), "Didn't find STARTTLS", GOOD),
    ("starttls_command_reset", shaken(SMTP, 587, "-starttls smtp"), ENDED, GOOD),
    ("starttls_command_dropped", shaken(SMTP, 587, "-starttls smtp"), SILENT, GOOD),
    ("mechanism_stripped", EHLO, r"AUTH LOGIN\s", "AUTH LOGIN XOAUTH2"),
    ("submission_rewritten", BANNER, "Mail Proxy", WELCOME),
    ("postfix_takes_submission", BANNER, "Postfix", WELCOME),
    ("token_cut", PRESENTED, "status 56", REFUSED_TOKEN),
    ("long_tokens_dropped", PRESENTED, "status 28", REFUSED_TOKEN),
    ("long_tokens_reset", PRESENTED, "status 56", REFUSED_TOKEN),
    ("block_page", fetched(f"https://{LIVE}/", "http_code"), "403", "200"),
    ("captive_portal", fetched(f"https://{LIVE}/", "redirect_url"), "http://10.0.0.1/login", "^$"),
    ("tenant_restricted", ASKED, "AADSTS500021", "AADSTS900144"),
    ("squid_opens_the_web_alone", by_proxy(f"imaps://{IMAP}/"), "403", "403"),
    ("squid_refuses_a_name", by_proxy(f"https://{LIVE}/"), "403", "403"),
    ("squid_refuses_a_name", by_proxy(f"https://{WORK}/"), "200", "200"),
    ("squid_wants_credentials", by_proxy(f"https://{WORK}/"), "407", "407"),
    ("outage", fetched(f"https://{LIVE}/", "http_code"), "503", "503"),
    ("throttled", fetched(SIGN_IN, "http_code", "-d grant_type=x"), "429", "429"),
    ("root_not_trusted", shaken(IMAP, 993), "unable to get|self.signed", "unable to get|self.signed"),
    ("certificates_expired", shaken(IMAP, 993), "has expired", "has expired"),
    ("certificates_not_yet_valid", shaken(IMAP, 993), "not yet valid", "not yet valid"),
    ("certificates_of_another_host", shaken(IMAP, 993, f"-verify_hostname {IMAP}"), "ostname mismatch", "ostname mismatch"),
    ("chains_incomplete", shaken(IMAP, 993), "unable to (get local|verify)", "unable to (get local|verify)"),
    ("clock_wrong", AHEAD, r"^(59\d|60\d)$", r"^(59\d|60\d)$"),
    ("sign_in_slow", fetched(SIGN_IN, "time_starttransfer", "-d grant_type=x"), r"^[4-9]\.", r"^[4-9]\."),
    ("mail_servers_slow", f"timeout 2 {shaken(IMAP, 993, '-quiet')}", SILENT, SILENT),
    ("line_that_is_slow", fetched(f"https://{LIVE}/", "time_connect"), r"^(0\.[89]|1\.)", r"^0\.[0-4]"),
    ("idle_connections_forgotten", AFTER_SILENCE, SILENT, SAID_OK),
    ("idle_connections_reset", AFTER_SILENCE, ENDED, SAID_OK),
]  # fmt: skip
#: Told by the number of segments sent again, in `test_lab`.
ELSEWHERE = {"line_that_loses"}


@pytest.fixture(scope="module")
def lab() -> Iterator[NetLab]:
    with net_lab() as lab:
        yield lab


@pytest.mark.parametrize(
    ("scenario", "command", "client", "gateway"), ROWS, ids=[f"{row[0]}-{n}" for n, row in enumerate(ROWS)]
)
def test_it_is_what_it_says(lab: NetLab, scenario: str, command: str, client: str, gateway: str):
    lab.apply(SCENARIOS[scenario])

    def said(place: str) -> str:
        trust = f"TRUST={lab.directory / 'trust.pem'}; "
        done = lab.run(place, "bash", "-c", trust + command, timeout=30)
        return (done.stdout + done.stderr).strip()

    with ThreadPoolExecutor() as both:
        at_client, at_gateway = both.map(said, ("client", "gateway"))
    assert re.search(client, at_client), f"client: {at_client}"
    assert re.search(gateway, at_gateway), f"gateway: {at_gateway}"


def test_none_is_left_out():
    alone = {name for name, each in SCENARIOS.items() if each.targets and not each.parts}
    assert {row[0] for row in ROWS} | ELSEWHERE == alone
