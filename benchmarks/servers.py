"""Configurations of what is measured, and of what it is measured against and beside."""

import json
from pathlib import Path
from typing import Any

from benchmarks.certificates import Files

#: An https page that the product calls ok: the chain is genuine by the benchmark's own root.
_NGINX = """\
daemon off;
pid {directory}/nginx.pid;
error_log stderr notice;
user root;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    server {{
        listen {address}:{port} ssl backlog=1024;
        ssl_certificate {files.certificate};
        ssl_certificate_key {files.key};
        location / {{ return 200 "ok"; }}
    }}
}}
"""

#: Said by nginx (notice) once it listens.
NGINX_READY = "start worker process "


def nginx_configuration(directory: Path, files: Files, address: str, port: int) -> Path:
    """Written into `directory`: TLS 1.3, every handshake a full one."""
    text = _NGINX.format(directory=directory, files=files, address=address, port=port)
    (path := directory / "nginx.conf").write_text(text)
    return path


def blackbox_configuration(directory: Path, root: Path) -> Path:
    """Modules `tls` (TCP and TLS, no more) and `http` (a page over TLS 1.3). JSON is YAML too."""
    trust = {"ca_file": str(root), "min_version": "TLS13"}
    modules = {
        "tls": {"prober": "tcp", "timeout": "5s", "tcp": {"tls": True, "tls_config": trust}},
        "http": {"prober": "http", "timeout": "5s", "http": {"tls_config": trust, "enable_http2": False}},
    }
    (path := directory / "blackbox.yml").write_text(json.dumps({"modules": modules}))
    return path


def exporter_configuration(path: Path, root: Path, targets: list[dict[str, Any]], **probe: Any) -> Path:
    """The product's configuration: these targets alone."""
    names = [target["name"] for target in targets]
    content = {"probe": {"custom": targets, "targets": names, **probe}, "identity": {"roots_file": str(root)}}
    path.write_text(json.dumps(content))
    return path
