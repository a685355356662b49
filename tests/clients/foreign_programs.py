"""Clients in JavaScript and Java. Their libraries come from npm and Debian; who records the corpus has them."""

import functools
import os
import subprocess
from pathlib import Path

from exporter.vocabulary import Protocol
from tests.clients.job import Command, Job

_HERE = Path(__file__).parent / "foreign"
#: npm puts the Node clients here; kept between runs.
NODE = Path(os.environ.get("CORPUS_CACHE", "/tmp/inference-cache")) / "node"
#: Debian's libjakarta-mail-java and what it needs.
JARS = ":".join(f"/usr/share/java/{each}.jar" for each in ("jakarta-mail", "jakarta-activation"))


@functools.cache
def _node_modules() -> str:
    if not (NODE / "node_modules/imapflow").exists():
        NODE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--prefix", str(NODE), "imapflow@1", "nodemailer@7"], check=True, timeout=120)
    return str(NODE / "node_modules")


@functools.cache
def _classes() -> str:
    directory = NODE.parent / "java"
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["javac", "-cp", JARS, "-d", str(directory), str(_HERE / "JavaMail.java")], check=True, timeout=60)
    return f"{directory}:{JARS}"


def _arguments(job: Job) -> list[str]:
    kind, tls = ("token" if job.token else "password"), ("starttls" if job.starttls else "tls")
    return [str(job.port), job.user, kind, job.secret, tls]


def imapflow(job: Job) -> Command:
    return Command(["node", str(_HERE / "imapflow.js"), *_arguments(job)], environment={"NODE_PATH": _node_modules()})


def nodemailer(job: Job) -> Command:
    return Command(["node", str(_HERE / "nodemailer.js"), *_arguments(job)], environment={"NODE_PATH": _node_modules()})


def javamail(job: Job) -> Command:
    name = {Protocol.IMAP: "imap", Protocol.POP: "pop3", Protocol.SMTP: "smtp"}[job.protocol]
    return Command(
        ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", _classes(), "JavaMail", name, *_arguments(job)]
    )


FOREIGN = {"imapflow": imapflow, "nodemailer": nodemailer, "javamail": javamail}
