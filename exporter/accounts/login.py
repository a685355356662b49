"""`login`: a person signs in by device code (RFC 8628), and the service has a refresh token from then on.

It works wherever there is a terminal, over ssh too: code and address are shown, the person uses any browser anywhere.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from exporter.accounts.authority import Authority
from exporter.accounts.configured import Account, make_accounts
from exporter.accounts.errors import TokenError, explain
from exporter.accounts.msal_bridge import Carrier, begin_device_flow, poll_device_flow
from exporter.accounts.request import Reply
from exporter.accounts.side_thread import Recall, on_thread
from exporter.accounts.token import Grant, Resource, TokenResult
from exporter.accounts.token_file import TokenFile, TokenFileError
from exporter.accounts.tokens import TokenSource, signed_in
from exporter.capabilities import drop_capabilities, forbid_core_dumps
from exporter.clean import clean
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.probe.walk import Vantage
from exporter.settings_errors import ConfigurationError, nearest
from exporter.settings_file import load
from exporter.until_signal import until_signal
from exporter.vocabulary import Outcome

#: How long a person may take at the most, whatever the identity provider says, seconds.
LONGEST = 900.0
#: Between two polls at least, seconds (RFC 8628 3.5).
LEAST_INTERVAL = 1.0

SIGNED_IN, NOT_SIGNED_IN = 0, 1
_PENDING = frozenset({"authorization_pending", "slow_down"})


def run_login(name: str, *, config: Path | None, env: Mapping[str, str]) -> int:
    """0: signed in; 1: not. Raises ConfigurationError: no such account, one that doesn't sign in so, files."""
    settings = load(config, env)
    own = next((each for each in settings.accounts if each.name == name), None)
    if own is None:
        names = [each.name for each in settings.accounts]
        raise ConfigurationError([f"{name}: no such account{nearest(name, names)}"])
    if own.kind == "app_password" or own.by_client_credentials:
        raise ConfigurationError([f"{name}: it signs in by itself with its password_file, secret or certificate"])
    processes = VantageProcesses()
    try:
        vantages = make_vantages(settings, env, processes)
        if os.geteuid() == 0:
            drop_capabilities()
        forbid_core_dumps()
        tools = make_prober(settings, once=True).tools
        names = [vantage.name for vantage in vantages]
        alone = settings.model_copy(update={"accounts": (own,)})  # the secrets of others aren't needed, nor always here
        [account] = make_accounts(alone, env, tools, names)
        vantage = next(each for each in vantages if each.name in account.vantages)
        return asyncio.run(_until_signal(account, vantage))
    finally:
        processes.close()


async def _until_signal(account: Account, vantage: Vantage) -> int:
    ended = await until_signal(_sign_in(account, vantage))
    return 130 if ended is None else ended


async def _sign_in(account: Account, vantage: Vantage) -> int:
    assert account.tokens is not None
    login = _Login(account.tokens, vantage, asyncio.get_running_loop())
    try:
        return await login.run()
    except TokenFileError as problem:
        click.echo(str(problem), err=True)
        return NOT_SIGNED_IN


@dataclass(slots=True)
class _Login:
    source: TokenSource
    vantage: Vantage
    loop: asyncio.AbstractEventLoop

    async def run(self) -> int:
        with_cache = await on_thread(self._check_cache)
        flow, refused = await self._ask(lambda carrier: begin_device_flow(self.source.account, carrier, self.scopes))
        if refused is not None or "device_code" not in flow:
            return self._say(refused, flow)
        click.echo(_instructions(flow, self.source.account.name))
        if not with_cache.encrypted:
            click.echo("The sign-in is kept unencrypted, readable by this user alone (see README, accounts).", err=True)
        return await self._await_person(flow)

    def _check_cache(self, recall: Recall) -> TokenFile:
        """Before the person is bothered: the cache can be read and written."""
        with self.source.file.locked(recall.pause):
            try:
                stored = self.source.file.read()
            except TokenFileError as problem:
                if "set aside" not in str(problem):
                    raise
                click.echo(str(problem), err=True)
                stored = self.source.file.read()
            self.source.file.write(stored)
        return self.source.file

    @property
    def scopes(self) -> tuple[str, ...]:
        return Authority.of(self.source.account).scopes(self.source.account, Resource.EXCHANGE)

    async def _ask(self, step: Callable[[Carrier], dict[str, Any]]) -> tuple[dict[str, Any], TokenResult | None]:
        """The step's answer; a result where there was none."""

        def stepped(recall: Recall) -> tuple[dict[str, Any], Reply | None]:
            carry = self.source.carry(self.vantage, self.loop, recall)
            carrier = Carrier(Authority.of(self.source.account), carry)
            return step(carrier), carrier.reply

        answer, reply = await on_thread(stepped)
        if answer:
            return answer, None
        result, _ = self.source.judged(self.vantage, reply, answer, Grant.DEVICE_CODE)
        return {}, result

    async def _await_person(self, flow: dict[str, Any]) -> int:
        """Polls until the person has decided, showing the time that is left."""
        until = self.loop.time() + min(float(flow.get("expires_in", LONGEST)), LONGEST)
        while self.loop.time() < until:
            await self._wait(max(float(flow.get("interval", 5)), LEAST_INTERVAL), until)
            answer, refused = await self._ask(lambda carrier: poll_device_flow(self.source.account, carrier, flow))
            if refused is not None and not _passes(refused):
                return self._say(refused, {})
            if answer.get("error") in _PENDING or refused is not None:
                continue
            _clear_line()
            return await self._keep(answer)
        _clear_line()
        click.echo("The code has expired; run the command again.", err=True)
        return NOT_SIGNED_IN

    async def _wait(self, seconds: float, until: float) -> None:
        end = min(self.loop.time() + seconds, until)
        while (left := end - self.loop.time()) > 0:
            _show_left(until - self.loop.time())
            await asyncio.sleep(min(left, 1.0))

    async def _keep(self, answer: dict[str, Any]) -> int:
        token = self.source.access_token(answer)
        if token is None:
            return self._say(None, answer)

        def keep(recall: Recall) -> None:
            with self.source.file.locked(recall.pause):
                now = self.source.tools.wall_clock().timestamp()
                stored = self.source.belonging.kept(self.source.file.read())
                self.source.file.write(signed_in(stored, Resource.EXCHANGE, token, answer, now))

        await on_thread(keep)
        click.echo(f"Signed in. {self.source.account.name} is tried from now on.")
        if not answer.get("refresh_token"):
            click.echo("No refresh token came with it: it will work for an hour only.", err=True)
        return SIGNED_IN

    def _say(self, result: TokenResult | None, answer: Mapping[str, Any]) -> int:
        """Why it didn't work, in one line."""
        _clear_line()
        if answer.get("error"):
            error: TokenError | None = TokenError.of_response(answer, hide=[self.source.account.username or ""])
        else:
            error = None if result is None else result.error
        if error is not None:
            click.echo(f"Not signed in: {explain(error).words}", err=True)
        elif result is not None and result.withheld is not None:
            click.echo(f"Not signed in: {result.withheld}", err=True)
        else:
            phases = () if result is None else result.phases
            failed = next((each for each in phases if each.outcome not in (Outcome.OK, Outcome.SKIPPED)), None)
            words = "the identity provider didn't answer" if failed is None else f"{failed.phase}: {failed.outcome}"
            more = f" ({failed.detail})" if failed is not None and failed.detail else ""
            click.echo(f"Not signed in, from vantage {self.vantage.name}: {words}{more}", err=True)
        return NOT_SIGNED_IN


def _passes(result: TokenResult) -> bool:
    """Whether polling goes on after this: the way or the service may recover while the person signs in."""
    return result.withheld is None and (not result.reached or any(p.outcome == "unavailable" for p in result.phases))


def _instructions(flow: Mapping[str, Any], account: str) -> str:
    """The identity provider's texts are cleaned: they go to a terminal."""
    place, code = clean(str(flow.get("verification_uri", ""))), clean(str(flow.get("user_code", "")))
    return f"Account {account}: open {place} in any browser, and enter the code {code}"


def _show_left(seconds: float) -> None:
    if sys.stderr.isatty():
        minutes, rest = divmod(max(int(seconds), 0), 60)
        click.echo(f"\rWaiting for the sign-in, {minutes}:{rest:02} left ", nl=False, err=True)


def _clear_line() -> None:
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
