"""The embedded Outlook.com as a process of its own, with many accounts that it knows:

`python -m benchmarks.lab_process DIRECTORY ACCOUNTS INTERVAL` writes none.yml, accounts.yml and trust.pem there.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import yaml

from exporter.lab.lab import Lab
from exporter.lab.sign_in import App

#: Printed once all is there.
LAB_READY = "the lab listens"


async def serve(directory: Path, accounts: int, interval: str) -> None:
    """Until killed."""
    async with Lab.start(directory) as lab:
        lab.trust_store()  # writes trust.pem
        lab.outlook.sign_in.apps["bench"] = App(secret="bench-secret")
        secret = directory / "secret"
        secret.touch(mode=0o600)
        secret.write_text("bench-secret")
        content = lab.configuration()
        content["probe"] |= {"interval": interval, "canary_interval": interval, "targets": ["imap_office365"]}
        custom = [each for each in content["probe"]["custom"] if each["name"] in ("imap_office365", "sign_in_work")]
        content["probe"]["custom"] = custom
        (directory / "none.yml").write_text(yaml.safe_dump(content))
        content["accounts"] = [_account(lab, directory, number) for number in range(accounts)]
        (directory / "accounts.yml").write_text(yaml.safe_dump(content))
        print(LAB_READY, flush=True)
        await asyncio.Event().wait()


def _account(lab: Lab, directory: Path, number: int) -> dict[str, Any]:
    return {
        "name": f"box-{number:02}", "kind": "oauth_work", "client_id": "bench", "targets": ["imap_office365"],
        "username": f"box-{number}@bench.example", "client_secret_file": str(directory / "secret"),
        "authority": f"https://login.microsoftonline.com:{443 + lab.shift}/bench.example",
        "token_cache": str(directory / f"{number}.token"),
    }  # fmt: skip


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
