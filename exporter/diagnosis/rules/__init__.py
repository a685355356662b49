"""What points to what: pure functions of a round. Each file is about one part of the way.

A rule takes a round and one probe of it and yields claims. Claims about the same subject compete (`weigh.winner`); the
subject of what ended or marked a phase is that phase's name.
"""

from collections.abc import Callable, Iterator

from exporter.diagnosis.seen import Seen
from exporter.diagnosis.weigh import Claim
from exporter.observations import Probe

Rule = Callable[[Seen, Probe], Iterator[Claim]]
