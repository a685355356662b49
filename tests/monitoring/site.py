"""The demo with a hand on its gateway: `python -m tests.monitoring.site ADDRESS:PORT`.

Each line of stdin is a fault's name, or empty for health; the end of stdin ends it.
"""

import os
import signal
import sys
import threading

from exporter import demo
from exporter.lab.lab import Lab

#: Seconds between rounds: quicker than the demo's, so that a test waits less.
INTERVAL = 3.0


class Told(demo.LabThread):
    """The lab, with faults from stdin."""

    def start(self) -> Lab:
        lab = super().start()
        threading.Thread(target=self._listen, name="stdin", daemon=True).start()
        return lab

    def _listen(self) -> None:
        for line in sys.stdin:
            self.set_fault(line.strip() or None)
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    demo.INTERVAL = INTERVAL
    os.environ["OUTLOOK_EXPORTER_PROBE__CANARY_INTERVAL"] = f"{INTERVAL:g}s"  # what only a canary sees, each round too
    demo.ROUNDS_EACH = sys.maxsize  # the story never goes on by itself
    demo.LabThread = Told  # type: ignore[misc]  # the demo's own, but for where faults come from
    return demo.run_demo(listen=sys.argv[1], once=False, fault=None, as_json=True)


if __name__ == "__main__":
    sys.exit(main())
