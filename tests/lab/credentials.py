"""XOAUTH2 initial responses, written out (facts 3): not by the code under test."""

import base64

TOKEN = "EwB" + "t" * 900
USER = "someone@outlook.com"


def xoauth2(token: str = TOKEN, user: str = USER) -> str:
    return base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()
