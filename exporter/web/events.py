"""`/events`: a word to each open page when something new stands on it (server-sent events, WHATWG HTML 9.2).

What is new isn't sent: the page asks for itself again, so that there is one way to make it. Progress of a diagnosis
that a page asked for is sent as text.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from starlette.responses import PlainTextResponse, Response, StreamingResponse

from exporter.language import Language, speaking
from exporter.language.evidence import said
from exporter.metrics.samples import Sample

#: Pages that may listen at once.
MAX_LISTENERS = 16
#: How often it is looked whether something is new; a comment is sent after so long without; seconds.
LOOK, KEEP_ALIVE = 1.0, 15.0
#: Then a page has to ask again, and to show who it is; seconds.
LIFE = 900.0
#: What a browser waits before it asks again, milliseconds.
_RETRY = 5_000


@dataclass(slots=True)
class Events:
    """The listeners, and a SampleSource over them.

    `standing`: what stands on the pages, another value once something is new; `progress`: empty where there is none.
    """

    standing: Callable[[], object]
    progress: Callable[[], str]
    _listeners: int = 0
    _changed: object = field(default_factory=object)

    def answer(self, language: Language = Language.ENGLISH) -> Response:
        """The stream, in the page's language, or 503 where too many listen."""
        if self._listeners >= MAX_LISTENERS:
            return PlainTextResponse("too many pages listen already\n", 503)
        headers = {"X-Accel-Buffering": "no"}  # nginx holds back what comes slowly
        return StreamingResponse(self._stream(language), media_type="text/event-stream", headers=headers)

    async def _stream(self, language: Language = Language.ENGLISH) -> AsyncIterator[str]:
        self._count(1)
        try:
            known, told = self.standing(), ""
            yield f"retry: {_RETRY}\n\n"
            quiet = 0.0
            for _ in range(int(LIFE / LOOK)):
                await asyncio.sleep(LOOK)
                quiet += LOOK
                progress, now = self.progress(), self.standing()
                if progress != told:
                    told, quiet = progress, 0.0
                    yield _event("progress", _spoken(progress, language))
                if now != known:
                    known, quiet = now, 0.0
                    yield _event("news", "")
                if quiet >= KEEP_ALIVE:
                    quiet = 0.0
                    yield ": still here\n\n"
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self._listeners, self._changed = self._listeners + more, object()

    def version(self) -> object:
        """See SampleSource."""
        return self._changed

    def samples(self) -> Iterator[Sample]:
        """See SampleSource."""
        yield Sample("outlook_exporter_page_listeners", (), float(self._listeners))


def _spoken(text: str, language: Language) -> str:
    """In a block of its own: what is spoken between two steps of a stream is somebody else's."""
    with speaking(language):
        return said(text).text


def _event(name: str, text: str) -> str:
    """JSON keeps it on one line, whatever it says."""
    return f"event: {name}\ndata: {json.dumps(text)}\n\n"
