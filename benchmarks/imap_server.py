"""The lab's IMAP server over TLS as a process of its own: `python -m benchmarks.imap_server PORT CERTIFICATE KEY`."""

import asyncio
import ssl
import sys
from collections.abc import Iterable

from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.imap_server import ImapServer

#: Printed once it listens.
READY = "listening"


async def serve(port: int, certificate: str, key: str) -> None:
    """Until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(_talk, "127.0.0.1", port, ssl=context, backlog=1024)
    print(READY, flush=True)
    await server.serve_forever()


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    server = ImapServer(Behaviour())
    replies: Iterable[Reply] = [server.greeting()]
    try:
        while True:
            for reply in replies:
                writer.write(reply.data)
                await writer.drain()
                if reply.then is Then.CLOSE:
                    return
            if not (data := await reader.read(65_536)):
                return
            replies = server.receive(data)
    except OSError:
        pass  # the client left
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:4]))
