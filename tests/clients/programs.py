"""Real clients of Debian, each as a command for a job. None checks the certificate: that is not what is looked at."""

from collections.abc import Callable
from urllib.parse import quote

from exporter.vocabulary import Protocol
from tests.clients.job import MESSAGE, Command, Job

Program = Callable[[Job], Command]

_SCHEMES = {Protocol.IMAP: "imap", Protocol.POP: "pop3", Protocol.SMTP: "smtp"}


def curl(job: Job) -> Command:
    """`options` go on its command line; one that begins with a slash is the path of the address."""
    paths = [each for each in job.options if each.startswith("/")]
    scheme = _SCHEMES[job.protocol] + ("" if job.starttls else "s")
    arguments = ["curl", "-sSk", "--max-time", "20", f"{scheme}://{job.host}:{job.port}{paths[0] if paths else '/'}"]
    if job.starttls:
        arguments.append("--ssl-reqd")
    if job.token:
        arguments += ["--user", f"{job.user}:", "--oauth2-bearer", job.secret]
    else:
        arguments += ["--user", f"{job.user}:{job.secret}"]
    if job.protocol is Protocol.SMTP:
        message = job.file("message", MESSAGE.replace("\n", "\r\n"))
        arguments += ["--mail-from", "a@example.org", "--mail-rcpt", "b@example.org", "-T", str(message)]
    return Command(arguments + [each for each in job.options if not each.startswith("/")])


def mbsync(job: Job) -> Command:
    kind = "STARTTLS" if job.starttls else "IMAPS"
    mechanisms = " ".join(job.options) or "LOGIN"
    rc = job.file(
        "mbsyncrc",
        f"""IMAPAccount a
Host {job.host}
Port {job.port}
User {job.user}
Pass {job.secret}
SSLType {kind}
CertificateFile {job.directory.parent}/root.pem
AuthMechs {mechanisms}

IMAPStore far
Account a

MaildirStore near
Path {job.directory}/mail/
Inbox {job.directory}/mail/inbox

Channel c
Far :far:
Near :near:
Patterns INBOX
Create Near
SyncState *
""",
    )
    (job.directory / "mail").mkdir()
    return Command(["mbsync", "-c", str(rc), "c"])


def fetchmail(job: Job) -> Command:
    protocol = "imap" if job.protocol is Protocol.IMAP else "pop3"
    tls = "sslproto tls1.2+" if job.starttls else "ssl"
    extra = " ".join(job.options)
    rc = job.file(
        "fetchmailrc",
        f'poll {job.host} service {job.port} protocol {protocol} {extra} user "{job.user}" password "{job.secret}" '
        f'{tls} no sslcertck keep fetchall mda "/bin/cat >/dev/null"\n',
    )
    return Command(
        [
            "fetchmail",
            "-f",
            str(rc),
            "--nodetach",
            "--nosyslog",
            "--pidfile",
            str(job.directory / "pid"),
            "-i",
            str(job.directory / "ids"),
        ],
        environment={"HOME": str(job.directory), "FETCHMAILHOME": str(job.directory)},
    )


def msmtp(job: Job) -> Command:
    method = (job.options or (("xoauth2",) if job.token else ("plain",)))[0]
    secret = job.file("secret", job.secret)
    return Command(
        [
            "msmtp", f"--host={job.host}", f"--port={job.port}", "--tls=on", "--tls-certcheck=off", f"--auth={method}",
            f"--tls-starttls={'on' if job.starttls else 'off'}", f"--user={job.user}", f"--passwordeval=cat {secret}",
            "--from=a@example.org", "b@example.org", *job.options[1:],
        ],
        MESSAGE,
    )  # fmt: skip


def mpop(job: Job) -> Command:
    method = (job.options or (("xoauth2",) if job.token else ("user",)))[0]
    secret = job.file("secret", job.secret)
    for each in ("cur", "new", "tmp"):
        (job.directory / "maildir" / each).mkdir(parents=True)
    return Command(
        [
            "mpop", f"--host={job.host}", f"--port={job.port}", "--tls=on", "--tls-certcheck=off", f"--auth={method}",
            f"--tls-starttls={'on' if job.starttls else 'off'}", f"--user={job.user}", f"--passwordeval=cat {secret}",
            f"--delivery=maildir,{job.directory}/maildir", f"--uidls-file={job.directory}/uidls", "--keep=on",
        ]
    )  # fmt: skip


def neomutt(job: Job) -> Command:
    return _mutt("neomutt", job)


def mutt(job: Job) -> Command:
    return _mutt("mutt", job)


def _mutt(program: str, job: Job) -> Command:
    scheme = {Protocol.IMAP: "imap", Protocol.SMTP: "smtp", Protocol.POP: "pop"}[job.protocol]
    name = scheme + ("" if job.starttls else "s")
    token = job.file("token", job.secret)
    method = (job.options or (("xoauth2",) if job.token else ("",)))[0]
    lines = [
        f'set {scheme}_user="{job.user}"' if scheme != "smtp" else "",
        f'set {scheme}_oauth_refresh_command="cat {token}"' if job.token else f'set {scheme}_pass="{job.secret}"',
        f'set {scheme}_authenticators="{method}"' if method else "",
        "set ssl_starttls=yes ssl_force_tls=yes ssl_verify_host=no ssl_verify_dates=no ssl_usesystemcerts=no",
        f"set certificate_file={job.directory.parent}/root.pem ssl_ca_certificates_file={job.directory.parent}/root.pem",
        "set mailcap_path=/dev/null folder=/tmp record= postponed= pop_delete=no confirmappend=no quit=yes move=no",
        "set use_envelope_from=yes from=a@example.org hostname=client.example.org sleep_time=0",
    ]
    if job.protocol is Protocol.SMTP:
        lines.append(f'set smtp_url="{name}://{job.user.replace("@", "%40")}@{job.host}:{job.port}/"')
        rc = job.file("muttrc", "\n".join(lines) + "\n")
        return Command(
            [program, "-F", str(rc), "-s", "a test", "b@example.org"], "One line.\n", {"HOME": str(job.directory)}
        )
    if job.protocol is Protocol.POP:
        lines.append(f'set pop_host="{name}://{job.host}:{job.port}" spoolfile=/dev/null')
    rc = job.file("muttrc", "\n".join(lines) + "\n")
    folder = f"{name}://{job.host}:{job.port}/" + ("INBOX" if job.protocol is Protocol.IMAP else "")
    return Command(
        [program, "-F", str(rc), "-f", folder, "-e", "push 'q'"],
        environment={"HOME": str(job.directory), "TERM": "xterm"},
        terminal=True,
    )


def swaks(job: Job) -> Command:
    method = (job.options or ("LOGIN",))[0]
    return Command(
        [
            "swaks", "--server", f"{job.host}:{job.port}", "--tls" if job.starttls else "--tls-on-connect",
            "--auth", method, "--auth-user", job.user, "--auth-password", job.secret, "--from", "a@example.org",
            "--to", "b@example.org", "--helo", "client.example.org", *job.options[1:],
        ]
    )  # fmt: skip


def offlineimap(job: Job) -> Command:
    auth = (
        f"auth_mechanisms = XOAUTH2\noauth2_access_token = {job.secret}\noauth2_request_url = https://localhost:9/"
        if job.token
        else f"auth_mechanisms = {(job.options or ('LOGIN',))[0]}\nremotepass = {job.secret}"
    )
    rc = job.file(
        "offlineimaprc",
        f"""[general]
accounts = a
metadata = {job.directory}/meta
maxsyncaccounts = 1
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {job.directory}/mail
[Repository far]
type = IMAP
remotehost = {job.host}
remoteport = {job.port}
remoteuser = {job.user}
ssl = {"no" if job.starttls else "yes"}
starttls = {"yes" if job.starttls else "no"}
sslcacertfile = {job.directory.parent}/root.pem
{auth}
maxconnections = 1
""",
    )
    return Command(["offlineimap", "-c", str(rc), "-o", "-u", "quiet"], environment={"HOME": str(job.directory)})


def getmail(job: Job) -> Command:
    imap = job.protocol is Protocol.IMAP
    for each in ("cur", "new", "tmp"):
        (job.directory / "maildir" / each).mkdir(parents=True)
    secret = job.file("secret", job.secret)
    token = f'use_xoauth2 = True\npassword_command = ("cat", "{secret}")' if job.token else f"password = {job.secret}"
    job.file(
        "getmailrc",
        f"""[retriever]
type = Simple{"IMAP" if imap else "POP3"}SSLRetriever
server = {job.host}
port = {job.port}
username = {job.user}
{token}
[destination]
type = Maildir
path = {job.directory}/maildir/
user = nobody
[options]
read_all = false
""",
    )
    return Command(
        ["getmail", f"--getmaildir={job.directory}", "--rcfile=getmailrc"], environment={"HOME": str(job.directory)}
    )


def s_nail(job: Job) -> Command:
    """`v15-compat` makes its credentials a part of the address; an escaped at sign separates user and host."""
    user = job.user.replace("@", "%40")
    scheme = _SCHEMES[job.protocol] + ("" if job.starttls else "s")
    method = (job.options or (("xoauth2",) if job.token else ("plain" if job.protocol is Protocol.SMTP else "login",)))[
        0
    ]
    kind = {Protocol.IMAP: "imap", Protocol.POP: "pop3", Protocol.SMTP: "smtp"}[job.protocol]
    common = [
        "s-nail", "-n", "-#", "-S", "v15-compat=yes", "-S", "tls-verify=ignore", "-S", f"{kind}-use-starttls",
        "-S", "hostname=client.example.org", "-S", "from=a@example.org",
    ]  # fmt: skip
    if job.protocol is Protocol.SMTP:
        address = f"{scheme if not job.starttls else 'submission'}://{user}:{quote(job.secret, safe='')}@{job.host}:{job.port}"
        return Command(
            [*common, "-S", f"smtp-auth={method}", "-S", f"mta={address}", "-s", "a test", "b@example.org"], "One line.\n",
            {"HOME": str(job.directory)},
        )  # fmt: skip
    address = f"{scheme}://{user}:{quote(job.secret, safe='')}@{job.host}:{job.port}" + (
        "/INBOX" if kind == "imap" else ""
    )
    auth = ["-S", f"{kind}-auth={method}"] if kind == "imap" else (["-S", f"pop3-auth={method}"] if job.token else [])
    return Command([*common, *auth, "-R", "-Y", "x", "-f", address], environment={"HOME": str(job.directory)})


PROGRAMS: dict[str, Program] = {
    "curl": curl,
    "mbsync": mbsync,
    "fetchmail": fetchmail,
    "msmtp": msmtp,
    "mpop": mpop,
    "neomutt": neomutt,
    "mutt": mutt,
    "swaks": swaks,
    "offlineimap": offlineimap,
    "getmail": getmail,
    "s-nail": s_nail,
}
