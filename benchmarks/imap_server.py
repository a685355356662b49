"""The lab's IMAP server, over TLS from the start, as a process of its own: `python -m benchmarks.imap_server PORT CERT KEY`."""

import asyncio
import ssl
import sys

from exporter.lab.behaviour import Behaviour, Then
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
    server = ImapServer(Behaviour(), starttls=False)
    reply = server.greeting()
    try:
        while True:
            writer.write(reply.data)
            await writer.drain()
            if reply.then is Then.CLOSE or not (line := await reader.readline()):
                break
            reply = server.receive(line.decode("utf-8", "replace").rstrip("\r\n"))
    except OSError:
        pass  # the client left
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:4]))
