"""The canary is a well-formed token that can't be of use to anyone."""

import base64
import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols.canary import CANARY_USER, canary_token

END_OF_2020 = 1_609_459_200


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@given(st.integers())
def test_a_jwt_that_expired_in_2020(seed: int):
    header, payload, signature = canary_token(Random(seed)).split(".")
    claims = json.loads(decoded(payload))
    assert json.loads(decoded(header))["alg"] == "RS256"
    assert claims["aud"] == "https://outlook.office.com"
    assert claims["iat"] < claims["exp"] < END_OF_2020
    assert claims["upn"] == CANARY_USER
    assert len(decoded(signature)) == 256


@given(st.integers())
def test_as_long_as_a_real_one(seed: int):
    assert 1_495 <= len(canary_token(Random(seed))) <= 1_505


def test_its_user_is_nobody():
    assert CANARY_USER.endswith(".invalid")


def test_no_two_are_alike_and_the_source_decides():
    source = Random(1)
    first, second = canary_token(source), canary_token(source)
    assert first != second
    assert canary_token(Random(1)) == first
