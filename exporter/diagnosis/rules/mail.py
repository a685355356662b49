"""Mail: greetings that aren't Microsoft's, STARTTLS and mechanisms taken out, conversations cut at authentication."""

import re
from collections.abc import Iterator

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.rules.common import (
    came_through,
    is_cut_by_length,
    once_more,
    quoted,
    repeated,
    result_of,
    told,
    worth,
)
from exporter.diagnosis.rules.pages import is_page
from exporter.diagnosis.seen import Seen, Tried, canary_answered, outcome_of
from exporter.diagnosis.signatures import signatures
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import PhaseResult, Probe
from exporter.probe.conversation_smtp import AT_EHLO
from exporter.vocabulary import AuthOutcome, Cause, Outcome, Phase, Protocol

MAIL = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})
_CUT = frozenset({Outcome.RESET, Outcome.CLOSED, Outcome.TIMEOUT})
#: An answer to a token by HTTP that refuses no token: a redirect, or a page that keeps everyone out. 400 and 401 do.
_NO_REFUSAL = re.compile(r"HTTP (?!40[01]\b)[0-9]{3}\b")
_MASKED = re.compile(r"\*{4,}|X{4,}")
_INTERCEPTION = frozenset({Cause.TLS_INTERCEPTED})


def starttls_stripped(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """STARTTLS not offered, or refused. Overturned by: the server isn't Microsoft's, or it is offered."""
    result = result_of(probe, Phase.STARTTLS, {Outcome.NOT_OFFERED, Outcome.REJECTED, *_CUT})
    if result is None:
        return
    tried, greeting = seen.tried(probe), probe.phase(Phase.GREETING)
    scales = Scales(Cause.STARTTLS_STRIPPED)
    masked = "masked" in (result.detail or "") or bool(greeting and _MASKED.search(greeting.detail or ""))
    if (said := result.detail or "").startswith(AT_EHLO):
        yield from _at_ehlo(seen, probe, result)
        return
    if result.outcome in _CUT:
        scales.add(0.5, f"the conversation dies at STARTTLS ({result.outcome}): {quoted(said)}")
    elif result.outcome is Outcome.REJECTED:
        scales.add(0.7, f"STARTTLS is offered, and refused: {quoted(result.detail)}")
    else:
        scales.add(0.8, f"Microsoft has always offered STARTTLS here, this server doesn't: {quoted(result.detail)}")
    if masked:
        scales.add(0.9, "banner or keywords are masked, as ESMTP inspection does")
    if greeting is not None and greeting.outcome is Outcome.OK:
        scales.add(0.5, "the banner is Microsoft's")
    elif greeting is not None and not masked:
        scales.against(0.25, f"the banner isn't Microsoft's: {quoted(greeting.detail)}", Cause.PROTOCOL_REWRITTEN)
    for other in seen.others(probe):
        if came_through(other, Phase.STARTTLS):
            scales.add(0.8, f"from {other.vantage} STARTTLS is offered and taken")
    confirmed = repeated(scales, tried)
    includes = frozenset({Cause.PROTOCOL_REWRITTEN}) if masked or result.outcome is Outcome.NOT_OFFERED else frozenset()
    yield scales.claim(str(Phase.STARTTLS), Phase.STARTTLS, includes=includes, confirmed=confirmed)
    if (claim := once_more(tried, Phase.STARTTLS)) is not None:
        yield claim


def _at_ehlo(seen: Seen, probe: Probe, result: PhaseResult) -> Iterator[Claim]:
    """EHLO refused, or swallowed: STARTTLS wasn't even asked for. Overturned by: it is answered when tried again."""
    scales, tried = Scales(Cause.PROTOCOL_REWRITTEN), seen.tried(probe)
    scales.add(0.4, f"EHLO, the first command, ends the conversation ({result.outcome}): {quoted(result.detail)}")
    for other in seen.others(probe):
        if came_through(other, Phase.STARTTLS):
            scales.add(0.7, f"from {other.vantage} EHLO is answered as Microsoft does")
    yield scales.claim(str(Phase.STARTTLS), Phase.STARTTLS, confirmed=repeated(scales, tried, 0.1))
    if (claim := once_more(tried, Phase.STARTTLS)) is not None:
        yield claim


def mechanism_stripped(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """auth_mechanism_stripped: no XOAUTH2. Overturned by: a genuine chain, for nobody rewrites it."""
    result = result_of(probe, Phase.CAPABILITY, {Outcome.NOT_OFFERED})
    if result is None:
        return
    scales = Scales(Cause.AUTH_MECHANISM_STRIPPED)
    scales.add(0.6, f"sign-in by token isn't offered: {quoted(result.detail)}")
    match signatures(probe):
        case False:
            scales.add(0.8, "somebody else terminates TLS, and so can rewrite what is offered")
        case True:
            scales.against(0.9, "the chain is Microsoft's own: nobody in between could take it out")
    for other in seen.others(probe):
        if came_through(other, Phase.CAPABILITY):
            scales.add(0.8, f"from {other.vantage} XOAUTH2 is offered")
    confirmed = repeated(scales, seen.tried(probe))
    yield scales.claim(str(Phase.CAPABILITY), Phase.CAPABILITY, includes=_INTERCEPTION, confirmed=confirmed)


def rewritten(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """protocol_rewritten: words that aren't Microsoft's. Overturned by: a genuine chain: its words have changed."""
    for phase in (Phase.GREETING, Phase.STARTTLS, Phase.CAPABILITY, Phase.AUTH, Phase.TOKEN):
        result = result_of(probe, phase, {Outcome.UNRECOGNIZED, Outcome.UNEXPECTED_CONTENT, Outcome.REJECTED})
        if result is None or (phase not in (Phase.AUTH, Phase.TOKEN) and probe.protocol not in MAIL):
            continue
        if phase in (Phase.STARTTLS, Phase.AUTH, Phase.TOKEN) and result.outcome is Outcome.REJECTED:
            continue
        if is_page(result):
            continue
        yield from _words(seen, probe, result)


def _words(seen: Seen, probe: Probe, result: PhaseResult) -> Iterator[Claim]:
    scales = Scales(Cause.PROTOCOL_REWRITTEN)
    scales.add(0.45, f"the server's words aren't known as Microsoft's: {quoted(result.detail)}")
    if result.detail and _MASKED.search(result.detail):
        scales.add(0.8, "they are masked, as ESMTP inspection does")
    if probe.auth.outcome is AuthOutcome.ACCEPTED and result.phase in (Phase.AUTH, Phase.TOKEN):
        scales.add(0.7, "a worthless token was accepted, which Microsoft never does")
    in_clear = probe.phase(Phase.STARTTLS) is not None and result.phase in (Phase.GREETING, Phase.STARTTLS)
    match signatures(probe):
        case False:
            scales.add(0.8, "somebody else terminates TLS, and so can rewrite what is said")
        case True if not in_clear:
            text = "the chain is Microsoft's own: nobody in between could rewrite it, so its words have changed"
            scales.against(0.9, text, Cause.HEALTHY)
            if result.outcome is Outcome.UNRECOGNIZED:
                yield from _new_words(probe, result, text)
    for other in seen.others(probe):
        there = other.phase(result.phase)
        if there is not None and there.outcome is Outcome.OK:
            scales.add(0.7, f"from {other.vantage} the words are Microsoft's")
    yield scales.claim(
        str(result.phase), result.phase, includes=_INTERCEPTION, confirmed=repeated(scales, seen.tried(probe), 0.1)
    )


def _new_words(probe: Probe, result: PhaseResult, text: str) -> Iterator[Claim]:
    """A new form of Microsoft's words is no fault of the path, as long as the rest of it is as it should be."""
    others = [each for each in probe.phases if each.phase is not result.phase]
    if (
        _NO_REFUSAL.match(result.detail or "")
        or probe.auth.outcome is AuthOutcome.ACCEPTED
        or any(e.outcome not in (Outcome.OK, Outcome.SKIPPED) for e in others)
    ):
        return
    scales = Scales(Cause.HEALTHY)
    scales.add(0.8, f"{text}; add them to probe.replies_file, and report them: {quoted(result.detail)}")
    if canary_answered(probe):
        scales.add(0.6, "our worthless token was refused in Microsoft's own words")
    yield scales.claim(str(result.phase), result.phase)


def auth_dropped(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """auth_dropped: cut without a word when the token goes by. Overturned by: words, when tried again."""
    for phase in (Phase.AUTH, Phase.TOKEN):
        result = result_of(probe, phase, _CUT)
        if result is None:
            continue
        if _said_something(result):
            return
        tried = seen.tried(probe)
        scales = Scales(Cause.AUTH_DROPPED)
        scales.add(0.7, f"all goes well until the token is sent, then {result.outcome} without a reply")
        _commands(scales, tried)
        for other in seen.others(probe):
            if canary_answered(other):
                scales.add(0.7, f"from {other.vantage} the token is refused in Microsoft's own words")
            elif outcome_of(other, phase) is result.outcome and not is_cut_by_length(tried):
                scales.against(0.5, f"from {other.vantage} it dies the same way", Cause.SERVICE_OUTAGE)
        confirmed = bool(tried.get(Kind.LONG_COMMAND) or tried.get(Kind.SHORT_CANARY))
        hint = "send a long line before authentication, and a shorter token (`diagnose` does)"
        yield scales.claim(str(phase), phase, confirmed=confirmed, hint=hint)


def _commands(scales: Scales, tried: Tried) -> None:
    long_command, short = tried.get(Kind.LONG_COMMAND), tried.get(Kind.SHORT_CANARY)
    if long_command is not None and not long_command.answered:
        text = f"a long harmless command dies too ({long_command.outcome}): what passes by is cut by its length"
        scales.add(worth(tried, 0.8), told(tried, text))
    elif long_command is not None:
        scales.add(worth(tried, 0.3), told(tried, "a long harmless command passes: it is authentication that is cut"))
    if short is not None and short.answered:
        scales.add(worth(tried, 0.8), told(tried, "a shorter token is refused in words: only the long one is cut"))
    elif short is not None:
        scales.add(worth(tried, 0.3), told(tried, f"a shorter token dies too ({short.outcome})"))
    behind = tried.get(Kind.LONG_BEHIND)
    if behind is not None and behind.answered:
        scales.add(worth(tried, 0.2), told(tried, "behind that refusal a long harmless command passes"))
    elif behind is not None:
        text = f"behind that refusal a long harmless command dies ({behind.outcome})"
        scales.add(worth(tried, 0.3), told(tried, text))


def _said_something(result: PhaseResult) -> bool:
    """A server that closes with words (an IMAP BYE) has answered."""
    return result.outcome is Outcome.CLOSED and "BYE" in (result.detail or "")


def greeting_missing(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """A greeting that never comes has no cause of its own; whether it went through once more decides."""
    claim = once_more(seen.tried(probe), Phase.GREETING)
    if claim is not None and result_of(probe, Phase.GREETING, _CUT) is not None:
        yield claim
