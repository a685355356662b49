"""The embedded Outlook.com on the catalogue's real ports: `python -m tests.diagnosis.outlook_server DIRECTORY`.

Run in a namespace that has the addresses; its roots and trust store go into the directory. "ready" is its one line.
"""

import asyncio
import shutil
import signal
import sys
from pathlib import Path

from exporter.lab.outlook import Outlook
from exporter.lab.pki import Pki
from tests.diagnosis.four import ADDRESSES


async def serve(directory: Path) -> None:
    pki = Pki(directory)
    outlook = Outlook(pki, {host: (address,) for host, address in ADDRESSES.items()}, 0)
    await outlook.start()
    shutil.copy(pki.roots_file, directory / "roots.pem") if pki.roots_file != directory / "roots.pem" else None
    shutil.copy(pki.trust_file, directory / "trust.pem") if pki.trust_file != directory / "trust.pem" else None
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await ended.wait()
    await outlook.stop()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
