"""Where machine code of the inspector is, made by mypyc out of these very sources; without it they are interpreted.

`make setup` compiles where a C compiler is at hand (scripts/compile-wire). What was made of other sources, or for
another interpreter, lies in a directory of another name and is never loaded: an edited module is interpreted at once.
"""

import hashlib
import os
import sys
import sysconfig
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

#: What every packet, or every connection, passes through.
MODULES: Final = (
    "protocols/client_hello", "protocols/server_hello", "protocols/tls_extensions",
    "wire/attempts", "wire/beginnings", "wire/capture_file", "wire/clear_text", "wire/connection_json", "wire/decode",
    "wire/encapsulation", "wire/fast_path", "wire/flow",
    "wire/inference/alike", "wire/inference/bursts", "wire/inference/grammar", "wire/inference/infer",
    "wire/inference/overhead", "wire/inference/readings", "wire/inference/verdict",
    "wire/link_headers", "wire/observe", "wire/outcome", "wire/pcap", "wire/reading", "wire/replies", "wire/reporting",
    "wire/ring_block", "wire/segments", "wire/servers", "wire/sighting", "wire/skim", "wire/socks", "wire/story",
    "wire/streams", "wire/table", "wire/tcp", "wire/tcp_options", "wire/timers", "wire/tracker", "wire/tunnel",
)  # fmt: skip
#: Set to anything, the sources are interpreted.
INTERPRETED: Final = "OUTLOOK_AUTH_EXPORTER_INTERPRETED"

_SOURCES: Final = Path(__file__).parent


def digest() -> str:
    """Of the sources, and of what can't be mixed with other interpreters'."""
    found = hashlib.sha256(f"{sys.implementation.cache_tag} {EXTENSION_SUFFIXES[0]}".encode())
    for name in MODULES:
        found.update((_SOURCES / f"{name}.py").read_bytes())
    return found.hexdigest()[:16]


def place() -> Path:
    """The directory for machine code of these sources, whether it is there or not."""
    return Path(sysconfig.get_path("platlib")) / "outlook_auth_exporter_compiled" / digest()


def load_from(package: str, search: list[str]) -> None:
    """Has a package's compiled modules found before their sources: `search` is its `__path__`.

    All packages that have some call this before they import any: compiled modules call each other without asking
    whether the other was loaded as such.
    """
    if (found := directory()) is not None:
        search.insert(0, str(found.joinpath(*package.split("."))))


@cache
def directory() -> Path | None:
    """The directory to load from; its shared library has been made known. None: interpret."""
    if INTERPRETED in os.environ:
        return None
    try:
        found = place()
        if not (found / "whole").exists():
            return None
    except OSError:  # sources that aren't files, as in a zip
        return None
    sys.path.append(str(found))
    return found
