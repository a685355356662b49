"""`probe --record`: a cleaned transcript of each conversation, to be sent in and replayed as a test.

The file is JSON Lines: a header, then one object a walk with the probe's result and the exchange as text. Our canary is
written `<canary>`, identities are overwritten in their own length; what a replay must
give again is the phases' outcomes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter import __version__
from exporter.clean import mask_identities
from exporter.probe.stream import Stream
from exporter.probe.way import Way

#: Bytes of one conversation that are recorded.
MAX_RECORDED = 262_144

_CANARY = re.compile(rb"[A-Za-z0-9+/=_.-]{600,}")


@dataclass(slots=True)
class Recorder:
    """Listens to one conversation above TLS."""

    said: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0

    def listen(self, stream: Stream, way: Way) -> Stream:
        """The same stream, its bytes noted."""
        return _Listening(stream, way, self)

    def note(self, way: Way, who: str, data: bytes) -> None:
        if self.size + len(data) > MAX_RECORDED:
            return
        self.size += len(data)
        text = _CANARY.sub(b"<canary>", data).decode("utf-8", "backslashreplace")
        self.said.append({"phase": way.current, "from": who, "text": mask_identities(text)})


class _Listening:
    def __init__(self, stream: Stream, way: Way, recorder: Recorder) -> None:
        self._stream, self._way, self._recorder = stream, way, recorder

    async def send(self, data: bytes) -> float:
        self._recorder.note(self._way, "client", data)
        return await self._stream.send(data)

    async def receive(self) -> bytes:
        data = await self._stream.receive()
        self._recorder.note(self._way, "server", data)
        return data

    def close(self) -> None:
        self._stream.close()


def header() -> str:
    """The first line of a recording."""
    return json.dumps({"recording": 1, "exporter": __version__})


def walk_line(
    target: Mapping[str, Any], phases: Sequence[Mapping[str, Any]], signatures: bool | None, recorder: Recorder
) -> str:
    """One walk's line: what was walked to, how its phases ended, and what was said."""
    content = {"target": dict(target), "phases": list(phases), "signatures": signatures, "said": recorder.said}
    return json.dumps(content)
