"""Asks an exporter on loopback for a page again and again, as Prometheus does: one kept connection, its Accept."""

import threading
import time
from http.client import HTTPConnection, HTTPException

from benchmarks.machine import NotPossible

#: What Prometheus 2.4x sends.
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}


class Scraper:
    """Gets `path` every `interval` seconds on a thread of its own, between `start` and `stop`.

    Each page must have status 200 and hold `must`.
    """

    def __init__(self, port: int, path: str, interval: float, must: str = "") -> None:
        self._port, self._path, self._interval, self._must = port, path, interval, must
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=path, daemon=True)
        self._error: Exception | None = None
        #: Begin and end of each, Unix seconds.
        self.spans: list[tuple[float, float]] = []
        self.text = ""

    def start(self) -> None:
        """Begins at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends behind the page under way. Raises NotPossible where a page wasn't as it must be."""
        self._stop.set()
        self._thread.join(15)
        if self._error is not None:
            raise NotPossible(f"GET {self._path}: {self._error}")

    def _run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        due = time.monotonic()
        try:
            while not self._stop.is_set():
                began = time.time()
                connection.request("GET", self._path, headers=HEADERS)
                response = connection.getresponse()
                self.text = response.read().decode()
                self.spans.append((began, time.time()))
                if response.status != 200 or self._must not in self.text:
                    raise HTTPException(f"status {response.status}: {self.text[:500]}")
                due += self._interval
                self._stop.wait(max(due - time.monotonic(), 0.0))
        except (OSError, HTTPException) as error:
            self._error = error
        finally:
            connection.close()


def get(port: int, path: str = "/metrics") -> str:
    """One page now. Raises NotPossible."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=HEADERS)
        response = connection.getresponse()
        text = response.read().decode()
    except (OSError, HTTPException) as error:
        raise NotPossible(f"GET {path}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise NotPossible(f"GET {path}: status {response.status}")
    return text


def series(text: str) -> int:
    """Samples on a page."""
    return sum(1 for line in text.splitlines() if line and not line.startswith("#"))
