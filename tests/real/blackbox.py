"""Prometheus' blackbox_exporter on loopback, which probes the same targets as we do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import require_program
from tests.real.process import free_ports, running, server_directory

_CONFIGURATION = """\
modules:
  tls: &tls
    prober: tcp
    timeout: 3s
    tcp:
      preferred_ip_protocol: ip4
      tls: true
      tls_config: &trust
        ca_file: {root}
        server_name: localhost
  imap_tls:
    prober: tcp
    timeout: 3s
    tcp:
      preferred_ip_protocol: ip4
      tls: true
      tls_config: *trust
      query_response:
        - expect: "OK.*IMAP4rev1"
  imap_starttls:
    prober: tcp
    timeout: 3s
    tcp:
      preferred_ip_protocol: ip4
      tls_config: *trust
      query_response:
        - expect: "OK.*STARTTLS"
        - send: ". STARTTLS"
        - expect: "OK"
        - starttls: true
        - send: ". capability"
        - expect: "CAPABILITY IMAP4rev1"
  pop_tls:
    prober: tcp
    timeout: 3s
    tcp:
      preferred_ip_protocol: ip4
      tls: true
      tls_config: *trust
      query_response:
        - expect: "^\\\\+OK"
  smtp_starttls:
    prober: tcp
    timeout: 3s
    tcp:
      preferred_ip_protocol: ip4
      tls_config: *trust
      query_response:
        - expect: "^220 "
        - send: "EHLO blackbox.test\\r"
        - expect: "^250-STARTTLS"
        - send: "STARTTLS\\r"
        - expect: "^220"
        - starttls: true
        - send: "EHLO blackbox.test\\r"
        - expect: "^250-AUTH"
        - send: "QUIT\\r"
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What blackbox_exporter says of a target; `expiry` is the earliest of the chain, in Unix seconds."""

    up: bool
    tls_version: str | None
    expiry: float | None


@dataclass(frozen=True, slots=True)
class Blackbox:
    """A running blackbox_exporter."""

    port: int

    def probe(self, module: str, target: str) -> Seen:
        """One probe now, of "host:port"."""
        query = urlencode({"module": module, "target": target})
        with urlopen(f"http://127.0.0.1:{self.port}/probe?{query}", timeout=10) as response:  # our own child
            families = list(text_string_to_metric_families(response.read().decode()))
        samples = {sample.name: sample for family in families for sample in family.samples}
        version = samples.get("probe_tls_version_info")
        expiry = samples.get("probe_ssl_earliest_cert_expiry")
        return Seen(
            up=samples["probe_success"].value == 1,
            tls_version=version.labels["version"] if version else None,
            expiry=expiry.value if expiry else None,
        )


@contextmanager
def blackbox(root_file: Path) -> Iterator[Blackbox]:
    """blackbox_exporter while it runs; it trusts `root_file` only."""
    binary = require_program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    with server_directory("blackbox") as directory:
        [port] = free_ports(1)
        configuration = directory / "blackbox.yml"
        configuration.write_text(_CONFIGURATION.format(root=root_file))
        command = [binary, f"--config.file={configuration}", f"--web.listen-address=127.0.0.1:{port}"]
        with running(command, directory, ports=[port]):
            yield Blackbox(port)
