"""The commands. Each says what it does; the work is done elsewhere."""

import atexit
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from exporter import __version__
from exporter.configuration_error import ConfigurationError

#: Exit statuses of the contract.
HEALTHY, UNHEALTHY, USAGE = 0, 1, 2

_config = click.option(
    "--config", "config", type=click.Path(path_type=Path, dir_okay=False), help="YAML configuration."
)


_file = click.Path(path_type=Path, dir_okay=False)


class _Commands(click.Group):
    """Ends with one clear line instead of a traceback where the configuration or a file is at fault."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            raise SystemExit(USAGE) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(USAGE) from None
        except KeyboardInterrupt:
            raise SystemExit(130) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="outlook-auth-exporter")
def main() -> None:
    """Is it the gateway, Microsoft, or the client? Measures the whole way to Outlook.com's authentication."""
    atexit.register(gc.freeze)  # to look for garbage in what ends anyway takes a twentieth of a second


@main.command()
@_config
@click.option("--listen", help="ADDRESS:PORT instead of the configuration's.")
@click.option("--only", type=click.Choice(["service", "inspector"]), help="One of the two roles alone.")
def run(config: Path | None, listen: str | None, only: str | None) -> None:
    """The service: scheduled probing, web server with metrics and status page."""
    from exporter.run_command import run_service

    raise SystemExit(run_service(config, os.environ, listen=listen, only=only))


@main.command()
@click.argument("targets", nargs=-1)
@click.option("--vantage", help="Only from this vantage.")
@_config
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on stdout, an object a target and vantage.")
@click.option("--raw", is_flag=True, help="Don't replace addresses and names in texts of the network.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Write a cleaned transcript.")
def probe(
    targets: tuple[str, ...], vantage: str | None, config: Path | None, as_json: bool, raw: bool, record: Path | None
) -> None:
    """One round now: all targets, or those named."""
    from exporter.probe_command import run_probe

    raise SystemExit(
        run_probe(targets, vantage=vantage, config=config, env=os.environ, as_json=as_json, raw=raw, record=record)
    )


@main.command()
@click.argument("files", nargs=-1, metavar="FILE…")
@click.option("--interface", "interfaces", multiple=True, help="Live from this interface instead of files.")
@click.option("--inside", help="File or interface on the clients' side of the gateway; with --outside.")
@click.option("--outside", help="File or interface beyond the gateway; with --inside.")
@_config
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on stdout, an object a connection.")
@click.option("--summary", is_flag=True, help="What was seen in all, as the last line.")
@click.option("--all", "everything", is_flag=True, help="Live: any server's connections, as in files.")
def inspect(
    files: tuple[str, ...],
    interfaces: tuple[str, ...],
    inside: str | None,
    outside: str | None,
    config: Path | None,
    as_json: bool,
    summary: bool,
    everything: bool,
) -> None:
    """Connections seen in captures (pcap, pcapng, gzip; - is stdin): how far they got, who signed in how, and so on."""
    from exporter.inspect_command import run_inspect

    if (inside is None) is not (outside is None):
        raise click.UsageError("--inside and --outside go together")
    if inside is not None and outside is not None:
        from exporter.inspect_sides import run_sides

        if files or interfaces:
            raise click.UsageError("--inside and --outside are read alone: no files or --interface go with them")
        raise SystemExit(
            run_sides(
                inside, outside, config=config, env=os.environ, as_json=as_json, summary=summary, everything=everything
            )
        )
    if interfaces:
        from exporter.inspect_live import run_live
        from exporter.wire.interface_state import Interface

        if files:
            raise click.UsageError("--interface reads live, so no files go with it")
        watched = [Interface(name) for name in dict.fromkeys(interfaces)]
        raise SystemExit(
            run_live(watched, config=config, env=os.environ, as_json=as_json, summary=summary, everything=everything)
        )
    if not files:
        raise click.UsageError("name capture files, or - for standard input")
    raise SystemExit(run_inspect(files, config=config, env=os.environ, as_json=as_json, summary=summary))


@main.command()
@click.argument("targets", nargs=-1)
@_config
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on stdout, a verdict a line.")
@click.option("--report", type=_file, help="Write one self-contained HTML page, to send to a vendor.")
@click.option("--language", type=click.Choice(["en", "fr"]), default="en", help="Of the report.")
@click.option("--packets", type=_file, help="Write the decisive packets of the captures as pcapng, handshakes only.")
@click.option("--with-addresses", is_flag=True, help="Clients' own addresses in report and packets, not pseudonyms.")
@click.option("--allowlist", type=click.Choice(["nftables", "squid", "text"]), help="Print rules for what failed.")
@click.option("--service", metavar="URL", help="A running exporter whose wire evidence is used.")
@click.option("--from", "replay", type=_file, help="Judge a recorded round (or `probe --json` output) instead.")
@click.option("--record", type=_file, help="Write the round and its experiments, for --from.")
@click.option("--capture", "captures", multiple=True, type=_file, help="Judge from packets alone.")
@click.option("--inside", type=_file, help="A capture of the clients' side, with --outside.")
@click.option("--outside", type=_file, help="A capture of the other side.")
def diagnose(
    targets: tuple[str, ...],
    config: Path | None,
    as_json: bool,
    report: Path | None,
    language: str,
    packets: Path | None,
    with_addresses: bool,
    allowlist: str | None,
    service: str | None,
    replay: Path | None,
    record: Path | None,
    captures: tuple[Path, ...],
    inside: Path | None,
    outside: Path | None,
) -> None:
    """Who is at fault, on which evidence: one round, experiments where something fails, then verdicts."""
    from exporter.diagnosis.command import Wishes, run_diagnose

    wishes = Wishes(
        names=targets, config=config, as_json=as_json, report=report, packets=packets, with_addresses=with_addresses,
        allowlist=allowlist, service=service, replay=replay, record=record, captures=captures, inside=inside,
        outside=outside, language=language,
    )  # fmt: skip
    raise SystemExit(run_diagnose(wishes, os.environ))


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
def check_config(file: Path) -> None:
    """Validates a configuration; every problem on its own line, with its place."""
    from exporter.prepare import make_prober
    from exporter.settings_file import load
    from exporter.web import web_config

    settings = load(file, os.environ)
    make_prober(settings, once=True)  # roots, known replies, trust store
    if settings.web_config is not None:
        web_config.load(settings.web_config)
    for warning in settings.warnings():
        click.echo(f"{file}: warning: {warning}", err=True)
    click.echo(f"{file}: good: {len(settings.targets())} targets from {len(settings.vantages)} vantages")


@main.command()
@click.argument("account")
@_config
def login(account: str, config: Path | None) -> None:
    """Sign in by device code for a configured account; its tokens are kept in its cache."""
    from exporter.accounts.login import run_login

    raise SystemExit(run_login(account, config=config, env=os.environ))


@main.command()
@_config
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on stdout, an object an account.")
def accounts(config: Path | None, as_json: bool) -> None:
    """How each account's sign-in stands; exit status 1 if one needs a person."""
    from exporter.accounts.standing_command import run_accounts

    raise SystemExit(run_accounts(config=config, env=os.environ, as_json=as_json))


@main.command()
@click.option(
    "--listen", default="127.0.0.1:10193", show_default=True, help="ADDRESS:PORT of its pages; port 0 is any."
)
@click.option("--once", is_flag=True, help="One round, then stop.")
@click.option("--fault", help="Hold this fault instead of walking through them.")
@click.option("--json", "as_json", is_flag=True, help='First {"url": …}, then probe lines.')
def demo(listen: str, once: bool, fault: str | None, as_json: bool) -> None:
    """The whole product on an embedded Outlook.com behind a misbehaving gateway, on loopback."""
    from exporter.demo import run_demo

    raise SystemExit(run_demo(listen=listen, once=once, fault=fault, as_json=as_json))


@main.group()
def vantage() -> None:
    """A client's view: a network namespace on the inside network."""


@vantage.command("create")
@click.argument("name")
@click.option("--inside", required=True, help="The gateway's interface to its clients.")
@click.option(
    "--address", "addresses", multiple=True, help="ADDRESS/LENGTH of the view; by default a free one of each family."
)
@click.option("--resolver", "resolvers", multiple=True, help="Its name servers; by default the clients'.")
@click.option("--how", type=click.Choice(["bridge", "redirect", "routed"]), help="How it joins the inside network.")
def vantage_create(
    name: str, inside: str, addresses: tuple[str, ...], resolvers: tuple[str, ...], how: str | None
) -> None:
    """Makes a namespace whose packets pass the same filters as a client's (needs root)."""
    from exporter.client_view import ClientViewError, create

    try:
        click.echo(create(name, inside, addresses=addresses, resolvers=resolvers, how=how))
    except ClientViewError as error:
        click.echo(str(error), err=True)
        raise SystemExit(USAGE) from None


@vantage.command("remove")
@click.argument("name")
def vantage_remove(name: str) -> None:
    """Removes what `create` made, also after a crash half-way."""
    from exporter.client_view import ClientViewError, remove

    try:
        click.echo(remove(name))
    except ClientViewError as error:
        click.echo(str(error), err=True)
        raise SystemExit(USAGE) from None


@main.command()
@click.argument("kind", type=click.Choice(["config", "probe", "connection", "verdict"]))
def schema(kind: str) -> None:
    """JSON Schema of what the program reads or prints."""
    from exporter.observations import Connection, Probe, Verdict
    from exporter.observations import schema as schema_of
    from exporter.settings import Settings

    kinds = {"probe": Probe, "connection": Connection, "verdict": Verdict}
    content = Settings.json_schema() if kind == "config" else schema_of(kinds[kind])
    click.echo(json.dumps(content, indent=2))


@main.command()
def metrics() -> None:
    """The catalogue of metrics as Markdown, from the code."""
    from exporter.metrics.catalogue import as_markdown

    click.echo(as_markdown())
