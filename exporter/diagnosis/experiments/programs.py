"""Which experiments for which trouble, in the order of what they would decide; each program stops once it is decided.

Flat steps: what a program did can be read off the experiments it made.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.experiments.hello import Form, HelloChange, LongFirst, LongLast
from exporter.diagnosis.experiments.trials import Place, Subject, Trials
from exporter.diagnosis.hops import FULL_TTL, is_expired
from exporter.probe.resolve import Resolver
from exporter.probe.tls import TlsStream
from exporter.probe.walk import Vantage
from exporter.protocols.canary import canary_token
from exporter.vocabulary import Outcome, Phase, Protocol

#: Bytes of a small segment's payload; IPv6's least MTU leaves more.
SMALL_MSS = 536
#: What timed out is waited for so long, seconds.
LONG_PATIENCE = 30.0
#: What dies on its way is waited for so long, seconds: until a SYN's second copy was answered too.
HOP_PATIENCE = 2.2
#: Characters of a command that is as long as one with a token, and of a token that is much shorter.
LONG_LINE, SHORT_TOKEN = 2_000, 200
#: TCP handshakes that are made to count losses.
LOSS_TRIES = 20

#: Ends of a conversation that somebody in between may have made.
_NOT_MICROSOFTS = frozenset(
    {
        Outcome.TIMEOUT, Outcome.RESET, Outcome.CLOSED, Outcome.NOT_OFFERED, Outcome.REJECTED,
        Outcome.UNRECOGNIZED, Outcome.UNEXPECTED_CONTENT,
    }
)  # fmt: skip

_LONG_COMMANDS = {Protocol.IMAP: b"a0 NOOP ", Protocol.SMTP: b"NOOP ", Protocol.POP: b"NOOP "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a subject is compared with.

    `resolvers`: others than its own. `names`: to present instead of its own. `places`: reached from the same vantage,
    by nothing's fault. `other_ports`: of the same host. `intermediates`: hosts with a whole chain. `alike`: other hosts
    in the same trouble. `independent`: vantages whose packets take another way. `passes_elsewhere`: from one of them it
    works, so that hops decide nothing. `may_sign_in`: whether one more worthless token may be presented. `dead`:
    addresses that failed while others worked. `others_trouble`: other walks of the vantage failed or were slow too.
    `forwards`: its machine is a router itself, so that the first hop lies beyond the gateway.
    """

    resolvers: tuple[Resolver, ...] = ()
    names: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    controls: tuple[tuple[str, int], ...] = ()
    other_ports: tuple[int, ...] = ()
    intermediates: tuple[Place, ...] = ()
    alike: tuple[Place, ...] = ()
    independent: tuple[Vantage, ...] = ()
    passes_elsewhere: bool = False
    may_sign_in: Callable[[], bool] = lambda: False
    dead: tuple[str, ...] = ()
    others_trouble: bool = False
    forwards: bool = False


async def names(trials: Trials, around: Around) -> None:
    """A name that doesn't resolve, or leads where it shouldn't."""
    again = await trials.resolve(Kind.AGAIN)
    if again is not None and again.outcome is Outcome.OK:
        return
    await _all(trials.resolve(Kind.SECOND_RESOLVER, resolver) for resolver in around.resolvers[:2])
    await trials.resolve(Kind.DNS_OVER_TCP, tcp=True)
    answered = next((each for each in trials.made if each.experiment is Kind.SECOND_RESOLVER and each.answered), None)
    if around.passes_elsewhere or answered is None:
        return
    resolver = trials.subject.vantage.names.resolvers[0][0]
    if not _is_loopback(resolver):
        await trials.resolve(Kind.DNS_AT_TTL, ttl=1)
        await trials.connect(Kind.SYN_AT_TTL, answered.addresses[0], trials.subject.target.port, ttl=1, control=True)


async def reach(trials: Trials, around: Around) -> None:
    """No TCP connection."""
    subject = trials.subject
    address = subject.address or (around.dead[0] if around.dead else None)
    if address is None:
        return
    again = await trials.connect(Kind.AGAIN, address, subject.target.port)
    if again is not None and again.answered:
        await losses(trials, around)
        return
    await _all(
        [
            *(trials.connect(Kind.OTHER_PORT, address, port) for port in around.other_ports[:1]),
            *(_control(trials, *control) for control in around.controls[:1] if not around.places),
            elsewhere(trials, around),
        ]
    )
    if not around.passes_elsewhere:
        await hops(trials, around, address)


async def _control(trials: Trials, host: str, port: int) -> Experiment | None:
    """TCP to a neutral host, found by the same resolver."""
    found = await trials.resolve_other(host)
    return await trials.connect(Kind.CONTROL_HOST, found, port, host=host) if found is not None else None


async def hops(trials: Trials, around: Around, address: str) -> None:
    """SYNs that die on their way, on the flow that fails and on one that doesn't."""
    port = trials.subject.target.port
    family = ":" in address
    control = next((place for place in around.places if (":" in place.address) is family), None)
    if _is_loopback(address) or trials.subject.proxied:
        return
    dying = partial(trials.connect, Kind.SYN_AT_TTL, patience=HOP_PATIENCE)
    await by_turns(
        lambda ttl: dying(address, port, ttl=ttl),
        lambda ttl: dying(control.address, control.port, host=control.host, ttl=ttl, control=True) if control else None,
        around.forwards,
    )


Dying = Callable[[int], Awaitable[Experiment | None]]
Control = Callable[[int], Awaitable[Experiment | None] | None]


async def by_turns(subject: Dying, control: Control, forwards: bool) -> None:
    """What dies at the second hop, then at the first, each with its control: no more than it takes to decide.

    Silence counts only when it was met twice, beside a control that wasn't: a router may say nothing for once.
    """
    if forwards:
        await subject(1)
        return
    far = await subject(2)
    if far is None or is_expired(far):
        return
    for ttl, ended in ((1, await subject(1)), (2, far)):
        if ended is not None and not is_expired(ended) and await _compared(subject, control, ttl, ended):
            return


async def _compared(subject: Dying, control: Control, ttl: int, ended: Experiment) -> bool:
    """Whether the control's packets died where the subject's ended otherwise."""
    for turn in range(2):
        again = await subject(ttl) if turn else ended
        compared = control(ttl)
        if compared is None or (shown := await compared) is None or not is_expired(shown):
            return False
        if again is None or again.outcome is not Outcome.TIMEOUT:
            break
    return True


async def addresses(trials: Trials, around: Around) -> None:
    """Some addresses of a name that don't connect."""
    port = trials.subject.target.port
    await _all(trials.connect(Kind.DEAD_ADDRESS, address, port) for address in around.dead[:3])
    if around.dead and not around.passes_elsewhere:
        await hops(trials, around, around.dead[0])


async def hello(trials: Trials, around: Around) -> None:
    """A ClientHello that gets no answer, or a refusal."""
    subject = trials.subject
    silent = subject.outcome is Outcome.TIMEOUT
    again = await trials.hello(Kind.AGAIN)
    if again is not None and again.answered and again.outcome is not subject.outcome:
        if silent:
            await losses(trials, around)
        return
    name = next((each for each in around.names if each != subject.host), None)
    await _all(
        [
            trials.hello(Kind.NO_NAME, HelloChange(nameless=True)),
            *([trials.hello(Kind.OTHER_NAME, HelloChange(name=name))] if name else []),
            trials.hello(Kind.SMALL_HELLO, HelloChange(form=Form.SMALL)),
            *([trials.hello(Kind.SMALL_ANSWER, HelloChange(form=Form.SMALL_ANSWER))] if silent else []),
        ]
    )
    by_name = any(each.answered for each in trials.made if each.experiment in (Kind.NO_NAME, Kind.OTHER_NAME))
    small = any(each.answered for each in trials.made if each.experiment is Kind.SMALL_HELLO)
    if small or (silent and not by_name):
        await trials.hello(Kind.SMALL_SEGMENTS, mss=SMALL_MSS)
    if by_name and not small:
        await trials.hello(Kind.SPLIT_HELLO, HelloChange(split=True))
    if not by_name and not small:
        await _versions(trials)
    if by_name or not small:
        await elsewhere(trials, around)
    if not around.passes_elsewhere and not small:
        await hello_hops(trials, around)


async def _versions(trials: Trials) -> None:
    await _all(
        [
            trials.hello(Kind.TLS_1_2, HelloChange(form=Form.TLS_1_2)),
            trials.hello(Kind.TLS_1_3, HelloChange(form=Form.TLS_1_3)),
            trials.hello(Kind.OTHER_FINGERPRINT, HelloChange(form=Form.OTHER)),
            trials.hello(Kind.NO_ALPN, HelloChange(alpn=False)),
        ]
    )
    if not any(each.answered for each in trials.made):
        await trials.hello(Kind.OLD_TLS, HelloChange(form=Form.OLD))


async def hello_hops(trials: Trials, around: Around) -> None:
    """ClientHellos that die on their way, behind a real TCP handshake; SYNs of the same flow are their control.

    Small ones, that end as the large: of one in two segments the half that a filter lets pass would come through.
    """
    subject = trials.subject
    address = subject.address
    if address is None or subject.proxied or _is_loopback(address):
        return

    def dying(ttl: int) -> Awaitable[Experiment | None]:
        return trials.hello(Kind.HELLO_AT_TTL, HelloChange(form=Form.SMALL, ttl=ttl), patience=HOP_PATIENCE)

    def control(ttl: int) -> Awaitable[Experiment | None]:
        port = subject.target.port
        return trials.connect(Kind.HELLO_AT_TTL, address, port, ttl=ttl, control=True, patience=HOP_PATIENCE)

    await by_turns(dying, control, around.forwards)
    if any(is_expired(each) and not each.control for each in trials.made if each.experiment is Kind.HELLO_AT_TTL):
        await dying(FULL_TTL)  # the kernel tells a connection of an ICMP error, not of which


async def elsewhere(trials: Trials, around: Around) -> None:
    """The target as another resolver has it, from this very vantage: was the name led elsewhere?"""
    subject = trials.subject
    ours = {subject.address} if subject.address else set(around.dead)
    if subject.proxied or not around.resolvers or not ours:
        return
    found = await trials.resolve(Kind.SECOND_RESOLVER, around.resolvers[0])
    if found is None or not found.addresses or ours & set(found.addresses):
        return
    await trials.again(Kind.OTHER_ADDRESS, address=found.addresses[0], phase=Phase.TLS)


async def certificate(trials: Trials, around: Around) -> None:
    """A chain that isn't as it should be."""
    if trials.subject.outcome is Outcome.CERTIFICATE_CHAIN_INCOMPLETE and around.intermediates:
        await trials.chains_with(around.intermediates[:2], around.alike)
        return
    await trials.again(Kind.AGAIN)
    await elsewhere(trials, around)


async def talk(trials: Trials, around: Around) -> None:
    """Words that are missing or not Microsoft's: once more, and with patience where there were none."""
    subject = trials.subject
    if subject.outcome is Outcome.THROTTLED:
        return
    token = canary_token(trials.randomness) if subject.phase is Phase.TOKEN else None
    if subject.outcome is Outcome.TIMEOUT:
        patient = trials.again(Kind.PATIENT, patience=LONG_PATIENCE, token=token)
        again, _ = await _all([trials.again(Kind.AGAIN, token=token), patient])
        if again is not None and again.answered:
            await losses(trials, around)
            return
    else:
        again = await trials.again(Kind.AGAIN, token=token)
    if subject.outcome in _NOT_MICROSOFTS and again is not None and not again.answered:
        await terminated(trials, around)


async def terminated(trials: Trials, around: Around) -> None:
    """Is what answers nearer than Microsoft can be?"""
    if not around.passes_elsewhere and trials.subject.address is not None:
        await hops(trials, around, trials.subject.address)


async def page(trials: Trials, around: Around) -> None:
    """A page in the place of Microsoft's answer: whose is it, and how far away?"""
    subject = trials.subject
    token = canary_token(trials.randomness) if subject.phase is Phase.TOKEN else None
    await trials.page(token)
    await terminated(trials, around)


async def auth(trials: Trials, around: Around) -> None:
    """A conversation that dies when the token goes by: its length, or what it is?"""
    protocol = trials.subject.target.protocol
    command = _LONG_COMMANDS.get(protocol)
    if command is not None:
        line = command + b"x" * LONG_LINE + b"\r\n"
        await trials.again(Kind.LONG_COMMAND, phase=Phase.CAPABILITY, then=lambda stream: LongFirst(stream, line))
        if around.may_sign_in():
            await _short_then_long(trials, line)
    await terminated(trials, around)


async def _short_then_long(trials: Trials, line: bytes) -> None:
    """A shorter token, and behind its refusal a long command: a filter may begin where authentication does."""
    made: list[LongLast] = []

    def then(stream: TlsStream) -> TlsStream:
        made.append(LongLast(stream, line))
        return made[-1]

    token = canary_token(trials.randomness)[:SHORT_TOKEN]
    short = await trials.again(Kind.SHORT_CANARY, token=token, phase=Phase.AUTH, then=then)
    behind = next((each.outcome for each in made if each.outcome is not None), None)
    if short is not None and behind is not None:
        trials.note_beside(short, Kind.LONG_BEHIND, behind)


async def late(trials: Trials, around: Around) -> None:
    """An answer that came late: does it always?"""
    token = canary_token(trials.randomness) if trials.subject.phase is Phase.TOKEN else None
    again = partial(trials.again, Kind.AGAIN, patience=LONG_PATIENCE / 3, token=token)
    await _all([again(), again()])


#: Handshakes that say whether one that took long was bad luck.
SLOW_TRIES = 3


async def slow(trials: Trials, around: Around) -> None:
    """Handshakes that took long: do they always, and are packets lost?"""
    # One after another: a busy moment of this machine, or a burst of losses, must not count twice.
    made = [await trials.hello(Kind.AGAIN, patience=LONG_PATIENCE / 3) for _ in range(SLOW_TRIES)]
    if any(each is not None and each.answered for each in made):
        await losses(trials, around)


async def losses(trials: Trials, around: Around) -> None:
    """What went through once more may have lost packets: are there many, and from elsewhere too?"""
    subject = trials.subject
    if subject.address is None or subject.proxied or not around.others_trouble:
        return
    own = await trials.loss(subject.vantage, subject.address, subject.target.port, LOSS_TRIES)
    if own is not None and own.hit and around.independent:
        await trials.loss(around.independent[0], subject.address, subject.target.port, LOSS_TRIES)


Program = Callable[[Trials, Around], Awaitable[None]]

#: The program for a phase that ended other than ok.
BY_PHASE: dict[Phase, Program] = {
    Phase.DNS: names,
    Phase.CONNECT: reach,
    Phase.PROXY: talk,
    Phase.GREETING: talk,
    Phase.STARTTLS: talk,
    Phase.TLS: hello,
    Phase.CAPABILITY: talk,
    Phase.HTTP: talk,
    Phase.TOKEN: talk,
    Phase.AUTH: auth,
}


def program_of(subject: Subject, *, is_page: bool) -> Program:
    """Which one a subject's trouble calls for."""
    if is_page:
        return page
    if subject.phase is Phase.TLS and subject.outcome.startswith("certificate_"):
        return certificate
    if subject.phase is Phase.AUTH and subject.outcome not in (Outcome.RESET, Outcome.CLOSED, Outcome.TIMEOUT):
        return talk
    return BY_PHASE[subject.phase]


async def _all(runs: Iterable[Awaitable[Experiment | None]]) -> list[Experiment | None]:
    return list(await asyncio.gather(*runs))


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
