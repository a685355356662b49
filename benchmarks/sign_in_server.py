"""The lab's identity provider over TLS as a process of its own:

`python -m benchmarks.sign_in_server ADDRESS PORT CERTIFICATE KEY`. Application `bench`, secret `bench-secret`.
"""

import asyncio
import ssl
import sys
from functools import partial

from exporter.lab.behaviour import Behaviour, Then
from exporter.lab.http_server import HttpServer
from exporter.lab.sign_in import App, SignIn

#: Printed once it listens.
READY = "listening"


async def serve(address: str, port: int, certificate: str, key: str) -> None:
    """Until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    sign_in = SignIn(apps={"bench": App(secret="bench-secret")})
    answering = partial(_talk, sign_in, Behaviour())
    server = await asyncio.start_server(answering, address, port, ssl=context, backlog=1024)
    print(READY, flush=True)
    await server.serve_forever()


async def _talk(
    sign_in: SignIn, behaviour: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    server = HttpServer(lambda request: sign_in.answer(request, behaviour))
    try:
        while data := await reader.read(65_536):
            for reply in server.receive(data):
                writer.write(reply.data)
                await writer.drain()
                if reply.then is Then.CLOSE:
                    return
    except OSError:
        pass  # the client left
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), *sys.argv[3:5]))
