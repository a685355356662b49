"""Tokens of the embedded sign-in hosts: JWTs as Entra gives to work accounts, opaque ones for consumers (facts 3)."""

import base64
import functools
import json
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_ID = "lab-key-1"
#: Bytes of randomness in an opaque token; with its base64 some 1,200 characters.
_OPAQUE = 900


@functools.cache
def signing_key() -> rsa.RSAPrivateKey:
    """Made once in a process, when the first token is signed: it takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def encode(data: bytes) -> str:
    """base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Raises ValueError for what isn't base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signed(claims: Mapping[str, object]) -> str:
    """A JWT, RS256, by the key of `key_set`."""
    header = encode(json.dumps({"typ": "JWT", "alg": "RS256", "kid": KEY_ID, "x5t": KEY_ID}).encode())
    body = f"{header}.{encode(json.dumps(claims).encode())}"
    return f"{body}.{encode(signing_key().sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def opaque() -> str:
    """A consumer's access token: no structure to be seen, begins with EwB."""
    return "EwB" + secrets.token_urlsafe(_OPAQUE)


def key_set() -> dict[str, object]:
    """The JWKS of `signed`."""
    numbers = signing_key().public_key().public_numbers()
    modulus, exponent = numbers.n.to_bytes(256), numbers.e.to_bytes(3)
    return {"keys": [{"kty": "RSA", "use": "sig", "kid": KEY_ID, "n": encode(modulus), "e": encode(exponent)}]}


def read_assertion(text: str, key: rsa.RSAPublicKey) -> dict[str, object]:
    """The claims of a client assertion signed by that key (RS256 or PS256). Raises ValueError for anything else."""
    try:
        header_text, claims_text, signature = text.split(".")
        header, claims = json.loads(decode(header_text)), json.loads(decode(claims_text))
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise ValueError("not objects")
        data = f"{header_text}.{claims_text}".encode()
        key.verify(decode(signature), data, _padding(header.get("alg")), hashes.SHA256())
    except InvalidSignature as error:
        raise ValueError("wrong signature") from error
    return claims


def _padding(algorithm: object) -> padding.PKCS1v15 | padding.PSS:
    if algorithm == "RS256":
        return padding.PKCS1v15()
    if algorithm == "PS256":
        return padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    raise ValueError(f"algorithm {algorithm}")
