"""IMAP as Exchange Online speaks it (facts 2.1): bytes in, replies out, no I/O."""

from exporter.lab.behaviour import MailboxState, Reply, Then, Use, Verdict
from exporter.lab.era import CLEAR_CAPABILITY, FRONT_END_BASE64
from exporter.lab.mail_server import MailServer

_SIGNING_OFF = "* BYE Microsoft Exchange Server IMAP4 server signing off."


class ImapServer(MailServer):
    """One connection, behind TLS or with STARTTLS."""

    farewell = b"* BYE Connection is closed. 13\r\n"
    _awaiting: tuple[str, str] | None = None  # tag and mechanism of an AUTHENTICATE that waits for its response
    _user: str | None = None  # signed in
    _permitted = True  # whether the token is for IMAP
    _disconnected = 0  # commands refused since

    def greeting(self) -> Reply:
        front_end = "" if self.behaviour.front_end_hidden else FRONT_END_BASE64
        text = f"* OK The Microsoft Exchange IMAP4 service is ready. [{front_end}]"
        return self.say(text, delay=self.behaviour.greeting_delay)

    def answer(self, line: str) -> Reply:
        if self._awaiting is not None:
            (tag, mechanism), self._awaiting = self._awaiting, None
            return self._credential(tag, mechanism, line)
        tag, _, rest = line.partition(" ")
        command, _, argument = rest.partition(" ")
        match command.upper():
            case "CAPABILITY":
                return self.say(f"* CAPABILITY {self._capabilities()}", f"{tag} OK CAPABILITY completed.")
            case "LOGOUT":
                return self.say(_SIGNING_OFF, f"{tag} OK LOGOUT completed.", then=Then.CLOSE)
            case "STARTTLS" if self.clear:
                return self.say(f"{tag} OK Begin TLS negotiation now.", then=Then.START_TLS)
            case _ if self._user is not None:
                return self._session(tag, command.upper())
            case "ID":
                name = '* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")'
                return self.say(name, f"{tag} OK ID completed.")
            case "NOOP":
                return self.say(f"{tag} OK NOOP completed.")
            case "LOGIN" if not self.clear:
                return self._login(tag, argument)
            case "AUTHENTICATE" if not self.clear:
                return self._authenticate(tag, argument)
            case _:
                return self._malformed(tag)

    def _capabilities(self) -> str:
        if self.clear:
            return CLEAR_CAPABILITY
        era = self.behaviour.era
        return era.imap_capability if self._user is None else era.imap_capability_signed_in

    def _login(self, tag: str, argument: str) -> Reply:
        user, _, password = argument.partition(" ")
        self.behaviour.saw_password(user.strip('"'), password.strip('"'))
        return self._refused(tag, self.behaviour.era.imap_login_refused)

    def _authenticate(self, tag: str, argument: str) -> Reply:
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() not in ("XOAUTH2", "PLAIN"):
            return self._malformed(tag)
        if initial:
            return self._credential(tag, mechanism.upper(), initial)
        self._awaiting = tag, mechanism.upper()
        return self.say("+ ")

    def _credential(self, tag: str, mechanism: str, response: str) -> Reply:
        if mechanism == "PLAIN":
            self.behaviour.saw_password("", response)
            return self._refused(tag, self.behaviour.era.imap_plain_refused)
        verdict, user = self.behaviour.judge(response, Use.IMAP)
        if self.behaviour.outage:
            return self._refused(tag, "NO Server Unavailable. 15")
        if self.behaviour.is_throttled(user):
            text = f"{tag} BAD Request is throttled. Suggested Backoff Time: {self.behaviour.backoff_ms} milliseconds"
            return self.say(text, "* BYE Connection closed. 14", then=Then.CLOSE, delay=self.behaviour.auth_delay)
        if verdict is Verdict.MALFORMED:
            return self._malformed(tag)
        if verdict is Verdict.REFUSED:
            return self._refused(tag, "NO AUTHENTICATE failed.")
        self._user, self._permitted = user, verdict is Verdict.ACCEPTED
        return self.say(f"{tag} OK AUTHENTICATE completed.", delay=self.behaviour.auth_delay)

    def _session(self, tag: str, command: str) -> Reply:
        if self._is_connected(self._user or ""):
            listed = (r'* LIST (\Noselect \HasChildren) "/" ""',) if command == "LIST" else ()
            return self.say(*listed, f"{tag} OK {command} completed.")
        self._disconnected += 1
        if self._disconnected == 1:
            return self.say(f"{tag} BAD User is authenticated but not connected.")
        return self.say("* BYE Connection closed. 14", then=Then.CLOSE)

    def _is_connected(self, user: str) -> bool:
        allowed = self._permitted and MailboxState.IMAP_OFF not in self.behaviour.states(user)
        return allowed and self.behaviour.is_connected(user)

    def _refused(self, tag: str, words: str) -> Reply:
        return self.say(f"{tag} {words}", delay=self.behaviour.auth_delay)

    def _malformed(self, tag: str) -> Reply:
        return self.say(f"{tag} BAD Command Argument Error. 12")
