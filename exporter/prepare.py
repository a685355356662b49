"""From a validated configuration to what a round needs: vantages with their sockets, and the prober's tools.

Vantage processes are forked here, before any thread or event loop; what needs a right is done first, then given up.
"""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from exporter.probe.canary_policy import AlwaysOnce, CanaryPolicy
from exporter.probe.identity import Roots, RootsFileError
from exporter.probe.proxy import ProxyCredentials
from exporter.probe.resolve import NameService
from exporter.probe.round import Policy, Prober
from exporter.probe.tls import TlsClient
from exporter.probe.vantage import LocalSockets, hosts_of, resolvers_of
from exporter.probe.vantage_process import (
    VantageError,
    VantageProcess,
    awaited_vantage_process,
    connect_vantage_process,
    fork_vantage_process,
)
from exporter.probe.walk import Proxy, Tools, Vantage
from exporter.protocols.replies import Replies, RepliesFileError
from exporter.secret_files import SecretFileError, locate, read_secret
from exporter.settings import Settings, VantageSettings
from exporter.settings_errors import ConfigurationError

#: Port of a proxy whose URL names none.
_PROXY_PORTS = {"http": 3128, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(slots=True)
class VantageProcesses:
    """The vantage processes under way, by namespace.

    `missing`: of a service, told of one that systemd hasn't started and why; the others' walks go on, and it is asked
    again for each of its own. None: a command's, which ends with the reason.
    """

    missing: Callable[[VantageError], None] | None = None
    by_namespace: dict[str, VantageProcess] = field(default_factory=dict)
    by_socket: dict[Path, VantageProcess] = field(default_factory=dict)

    def of(self, settings: VantageSettings) -> VantageProcess | None:
        """The process whose sockets this vantage uses, started where needed. Raises VantageError."""
        if (path := settings.vantage_socket) is not None:
            if path not in self.by_socket:
                self.by_socket[path] = self._at(path)
            return self.by_socket[path]
        name = settings.network_namespace
        if name is None:
            return None
        if name not in self.by_namespace:
            self.by_namespace[name] = fork_vantage_process(name)
        return self.by_namespace[name]

    def _at(self, path: Path) -> VantageProcess:
        try:
            return connect_vantage_process(path)
        except VantageError as error:
            if self.missing is None:
                raise
            self.missing(error)
            return awaited_vantage_process(path)

    def close(self) -> None:
        """Ends them all."""
        for process in (*self.by_namespace.values(), *self.by_socket.values()):
            process.close()


def make_vantages(
    settings: Settings, env: Mapping[str, str], processes: VantageProcesses, only: str | None = None
) -> list[Vantage]:
    """The configured vantages. Raises ConfigurationError naming what can't be had."""
    vantages, problems = [], []
    wanted = [(index, each) for index, each in enumerate(settings.vantages) if only in (None, each.name)]
    for _, each in wanted:  # all forked before the first secret is read: none of them has it in its memory
        with suppress(OSError):  # told below
            processes.of(each)
    for index, each in wanted:
        try:
            vantages.append(_vantage(settings, each, env, processes))
        except (OSError, SecretFileError) as error:
            where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            reason = where + ((error.strerror or str(error)) if isinstance(error, OSError) else str(error))
            problems.append(f"vantages[{index}] ({each.name}): {reason}")
    if problems:
        raise ConfigurationError(problems)
    return vantages


def _vantage(settings: Settings, own: VantageSettings, env: Mapping[str, str], processes: VantageProcesses) -> Vantage:
    made_by = processes.of(own)
    source = str(own.source_address) if own.source_address else None
    sockets = LocalSockets(interface=own.interface, source_address=source, made_by=made_by)
    names = NameService(
        hosts=hosts_of(own.network_namespace),
        resolvers=[own.resolver] if own.resolver else resolvers_of(own.network_namespace),
        sockets=sockets,
        resolver_sockets=LocalSockets(made_by=made_by),
        private_networks=tuple(settings.probe.private_networks),
    )
    proxy = _proxy(own, env) if own.proxy else None
    problem = made_by.problem if made_by is not None else None
    return Vantage(name=own.name, names=names, ip_version=own.ip_version, proxy=proxy, problem=problem)


def _proxy(own: VantageSettings, env: Mapping[str, str]) -> Proxy:
    parts = urlsplit(own.proxy or "")
    credentials = None
    if own.proxy_credentials_file:
        user, colon, password = read_secret(locate(own.proxy_credentials_file, env)).reveal().partition(":")
        if not colon:
            raise SecretFileError(f"{own.proxy_credentials_file}: one line user:password is expected")
        credentials = ProxyCredentials(user, password)
    port = parts.port or _PROXY_PORTS[parts.scheme]
    return Proxy(scheme=parts.scheme, host=parts.hostname or "", port=port, credentials=credentials)


def make_prober(settings: Settings, *, once: bool) -> Prober:
    """The prober; `once`: a command's, which presents one canary each and knows no budget of earlier rounds.

    Raises ConfigurationError: roots, replies or trust store can't be read.
    """
    try:
        tools = Tools(
            tls=TlsClient(),
            roots=Roots.load(settings.identity.roots_file),
            replies=Replies.load(settings.probe.replies_file),
            clock=time.monotonic,
            wall_clock=lambda: datetime.now(UTC),
            timeout=settings.probe.timeout,
        )
    except (RootsFileError, RepliesFileError, OSError) as error:
        raise ConfigurationError([str(error)]) from error
    randomness = random.SystemRandom()
    policy: Policy = AlwaysOnce()
    if not once:
        policy = CanaryPolicy(settings.probe.canary_interval, settings.probe.canaries_per_hour, randomness)
    return Prober(tools=tools, policy=policy, concurrency=settings.probe.concurrency, randomness=randomness)
