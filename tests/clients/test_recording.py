"""The forwarder's own view of TLS records, against handshakes of Python's ssl."""

import ssl

import pytest

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from exporter.wire.trace import Trace, TraceEnd
from tests.clients import corpus, tls_policy
from tests.clients.record_stream import RecordStream
from tests.clients.recording import Recording
from tests.clients.session import Session
from tests.clients.truth import Attempt
from tests.real.certificates import Authority, make_authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("pki"))


def recorded(authority: Authority, policy: str, *, clear: tuple[bytes, bytes] = (b"", b"")) -> Recording:
    """A handshake, a greeting of 40 bytes, and a command of 10; `clear`: what the server and the client said before."""
    recording = Recording(Protocol.SMTP if clear[0] else Protocol.IMAP)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    bios = [ssl.MemoryBIO() for _ in range(4)]
    client = context.wrap_bio(bios[0], bios[1])
    server = tls_policy.context(policy, authority.leaf(f"leaf-{policy}")).wrap_bio(bios[2], bios[3], server_side=True)
    if clear[0]:
        recording.feed(0.0, False, clear[0])
        recording.feed(0.0, True, clear[1])

    def pump(now: float) -> None:
        for from_client, source, sink in ((True, bios[1], bios[2]), (False, bios[3], bios[0])):
            data = source.read()
            recording.feed(now, from_client, data)
            sink.write(data)

    for step in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
        pump(float(step))
    server.write(b"x" * 40)
    pump(10.0)
    client.write(b"y" * 10)
    pump(11.0)
    recording.close(by_client=True)
    return recording


def trace(authority: Authority, policy: str) -> Trace:
    found = recorded(authority, policy).trace(microsoft=True)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("policy", "finished", "overhead"), [("1.3", 69, 17), ("1.2-gcm", 40, 24), ("1.2-chacha", 32, 16)]
)
def test_records_behind_the_handshake(authority: Authority, policy: str, finished: int, overhead: int):
    found = trace(authority, policy)
    assert found.tls_version == ("TLSv1.3" if policy == "1.3" else "TLSv1.2")
    assert found.finished_length == finished
    data = [(record.from_client, record.length - overhead) for record in found.records if record.time > 5.0]
    assert data == [(False, 40), (True, 10)]
    assert (found.end, found.microsoft, found.starttls) == (TraceEnd.CLIENT_CLOSED, True, False)


def test_clear_text_before_starttls_is_measured(authority: Authority):
    said = b"220 mail.example.org ESMTP\r\n250-mail.example.org\r\n250 STARTTLS\r\n220 go on\r\n"
    found = recorded(authority, "1.3", clear=(said, b"EHLO me\r\nSTARTTLS\r\n")).trace(microsoft=False)
    assert found is not None
    assert (found.starttls, found.banner_length, found.ehlo_reply_length) == (True, 28, 36)


def test_without_a_handshake_there_is_no_trace():
    recording = Recording(Protocol.IMAP)
    recording.feed(0.0, True, b"\x16\x03\x01\x00\x05hello")
    assert recording.trace(microsoft=False) is None


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_stream_is_cut_into_records_however_it_arrives(size: int):
    data = (
        b"220 hello\r\n"
        + b"\x16\x03\x03\x00\x03abc"
        + b"\x17\x03\x03\x00\x00"
        + b"\x15\x03\x03\x00\x02xy"
        + b"\x17\x03"
    )
    stream, found = RecordStream(), []
    for at in range(0, len(data), size):
        found += stream.feed(data[at : at + size])
    assert found == [(22, 3, b"abc"), (23, 0, b""), (21, 2, b"xy")]
    assert bytes(stream.clear) == b"220 hello\r\n"


def test_what_is_written_down_is_read_again(authority: Authority):
    session = Session(
        "a", "b", "1.3", "token right", trace(authority, "1.3"), (Attempt(Mechanism.TOKEN, AuthOutcome.ACCEPTED),)
    )
    read = corpus.load(corpus.dump(session))
    assert read.truth == session.truth
    assert [record.length for record in read.trace.records] == [record.length for record in session.trace.records]


def test_nothing_in_the_corpus_tells_who_it_was():
    assert corpus.files()
    for path in corpus.files():
        text = "\n".join(corpus.lines(path))
        assert "@" not in text
        assert "127." not in text
