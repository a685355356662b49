"""dnsmasq and unbound on loopback, each answering names of `test.` with one fault of the name service."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import require_program
from tests.real.process import free_ports, running, server_directory

#: Names both know. What comes back is the fault.
GOOD = "good.test"
GOOD_ADDRESS = "127.0.0.1"
NO_SUCH_NAME = "nxdomain.test"
EMPTY = "empty.test"  # the name exists, without any address
SINKHOLE = "sinkhole.test"  # 0.0.0.0, as filters answer
REDIRECTED = "redirected.outlook.com"  # a name of Microsoft's, answered with this very machine
PARTIAL = "partial.test"  # one address lives, one doesn't
DEAD_ADDRESS = "127.66.66.66"  # loopback, so that nothing leaves this machine
DUAL = "dual.test"  # both families; only IPv4 lives
ALIAS = "alias.test"  # CNAME to GOOD
MANY = "many.test"  # more addresses than a datagram of 512 bytes holds
MANY_ADDRESSES = tuple(f"127.0.0.{last}" for last in range(1, 61))
#: Only unbound fails (its upstream refuses, and so does dnsmasq itself), and only unbound can be silent.
SERVER_FAILURE = "servfail.test"
SILENCE = "silence.test"
REFUSED = "refused.test"

_DNSMASQ = """\
port={port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
no-daemon
user={user}
pid-file
edns-packet-max=512
local-ttl=1
host-record={good},{good_address}
local=/{good}/
cname={alias},{good}
address=/{no_such_name}/
txt-record={empty},nothing to connect to
local=/{empty}/
address=/{sinkhole}/0.0.0.0
local=/{sinkhole}/
address=/{redirected}/{good_address}
local=/{redirected}/
host-record={partial},{good_address}
host-record={partial},{dead_address}
local=/{partial}/
host-record={dual},{good_address},::1
local=/{dual}/
local=/{many}/
{many_records}
"""

_UNBOUND = """\
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: "{directory}/unbound.log"
    interface: 127.0.0.1@{port}
    do-ip6: no
    do-daemonize: no
    num-threads: 1
    max-udp-size: 512
    module-config: "iterator"
    do-not-query-localhost: no
    local-zone: "test." transparent
    local-data: "{good}. 1 IN A {good_address}"
    local-zone: "{alias}." redirect
    local-data: "{alias}. 1 IN CNAME {good}."
    local-zone: "{no_such_name}." always_nxdomain
    local-zone: "{empty}." always_nodata
    local-zone: "{sinkhole}." always_null
    local-zone: "{silence}." always_deny
    local-zone: "{refused}." always_refuse
    local-zone: "{redirected}." static
    local-data: "{redirected}. 1 IN A {good_address}"
    local-zone: "{partial}." static
    local-data: "{partial}. 1 IN A {good_address}"
    local-data: "{partial}. 1 IN A {dead_address}"
    local-zone: "{dual}." static
    local-data: "{dual}. 1 IN A {good_address}"
    local-data: "{dual}. 1 IN AAAA ::1"
    local-zone: "{many}." static
{many_records}
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{upstream}
"""


@contextmanager
def dnsmasq(user: str = "root") -> Iterator[int]:
    """The port of a dnsmasq while it runs."""
    binary = require_program("dnsmasq", "dnsmasq-base")
    with server_directory("dnsmasq") as directory:
        [port] = free_ports(1)
        records = "\n".join(f"host-record={MANY},{address}" for address in MANY_ADDRESSES)
        configuration = directory / "dnsmasq.conf"
        configuration.write_text(_DNSMASQ.format(port=port, user=user, many_records=records, **_names(directory)))
        with running([binary, "-C", configuration], directory, ports=[port]):
            yield port


@contextmanager
def unbound(upstream: int) -> Iterator[int]:
    """The port of an unbound while it runs. What it doesn't know it asks the port `upstream`, never the internet."""
    binary = require_program("unbound", "unbound")
    with server_directory("unbound") as directory:
        [port] = free_ports(1)
        records = "\n".join(f'    local-data: "{MANY}. 1 IN A {address}"' for address in MANY_ADDRESSES)
        configuration = directory / "unbound.conf"
        configuration.write_text(
            _UNBOUND.format(port=port, upstream=upstream, many_records=records, **_names(directory))
        )
        with running([binary, "-d", "-c", configuration], directory, ports=[port]):
            yield port


def _names(directory: Path) -> dict[str, str]:
    return {
        "directory": str(directory),
        "good": GOOD,
        "good_address": GOOD_ADDRESS,
        "no_such_name": NO_SUCH_NAME,
        "empty": EMPTY,
        "sinkhole": SINKHOLE,
        "redirected": REDIRECTED,
        "partial": PARTIAL,
        "dead_address": DEAD_ADDRESS,
        "dual": DUAL,
        "alias": ALIAS,
        "many": MANY,
        "silence": SILENCE,
        "refused": REFUSED,
    }
