"""An identity provider that nobody here wrote (PyPI's oidc-provider-mock) over TLS, as a child:

`python -m tests.accounts.foreign_provider PORT CHAIN KEY APP_CERTIFICATE`. The mock as it comes lies under /plain, as an authority
has a tenant. Under /tenant it has the grants that it leaves out as well, Authlib's own, on which it is built: an
application's by its secret or a signed assertion (RFC 6749 4.4, RFC 7523), and a device's code (RFC 8628). There
POST /device/decide has a person decide.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import oidc_provider_mock
from authlib.integrations.flask_oauth2.requests import FlaskOAuth2Request
from authlib.oauth2 import OAuth2Error, rfc7523
from authlib.oauth2.rfc6749 import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc8628 import (
    DEVICE_CODE_GRANT_TYPE,
    DeviceAuthorizationEndpoint,
    DeviceCodeGrant,
    DeviceCredentialDict,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwk
from joserfc.jws import JWSRegistry
from oidc_provider_mock._storage import Client, User
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from tests.accounts.trying import APPLICATION, APPLICATION_SECRET, MAIL_SCOPES

APPLICATION_SCOPE = "https://outlook.office365.com/.default"
_ASSERTION = "client_assertion_jwt"
#: MSAL signs by RSA-PSS, and sends the whole certificate in the assertion's header (RFC 7515 4.1.6), bytes.
JWSRegistry.recommended.append("PS256")
JWSRegistry.max_header_length = 8_192

_devices: dict[str, DeviceCredentialDict] = {}
_decided: dict[str, bool] = {}
_polled: set[str] = set()


class Application(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_post", _ASSERTION)

    def save_token(self, token: Any) -> None:
        self.request.user = User(sub=APPLICATION)  # the mock keeps nobody's token otherwise
        super().save_token(token)


class Assertion(rfc7523.JWTBearerClientAssertion):  # type: ignore[misc]
    """Verifies what an application signs: key, audience, times, and that it is used once."""

    def __init__(self, certificate: Path) -> None:
        super().__init__()
        key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
        self._key = jwk.RSAKey.import_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self._used: set[str] = set()

    def get_audiences(self) -> list[str]:
        return [flask.url_for("oidc-provider-mock.issue_token", _external=True)]

    def validate_jti(self, _claims: Any, jti: str) -> bool:
        known = jti in self._used
        self._used.add(jti)
        return not known

    def resolve_client_public_key(self, client: Client) -> Any:
        return self._key if client.id == APPLICATION else None


class Devices(DeviceAuthorizationEndpoint):  # type: ignore[misc]
    INTERVAL = 1

    def get_verification_uri(self) -> str:
        return "https://provider.example/device"

    def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
        _devices[data["device_code"]] = DeviceCredentialDict(client_id=client_id, scope=scope, **data)


class Device(DeviceCodeGrant):  # type: ignore[misc]
    def query_device_credential(self, device_code: str) -> DeviceCredentialDict | None:
        return _devices.get(device_code)

    def query_user_grant(self, user_code: str) -> tuple[User, bool] | None:
        return (User(sub="somebody"), _decided[user_code]) if user_code in _decided else None

    def should_slow_down(self, credential: DeviceCredentialDict) -> bool:
        """The second poll is always one too early."""
        code = credential["device_code"]
        early = code in _polled
        _polled.add(code)
        return early


def provider(certificate: Path) -> flask.Flask:
    """The mock with those grants, and a token endpoint that takes them."""
    for grant in (AuthorizationCodeGrant, RefreshTokenGrant):  # public clients too, as Microsoft's device code needs
        grant.TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]
    Client.SCOPES_SUPPORTED = (*Client.SCOPES_SUPPORTED, "offline_access", *MAIL_SCOPES, APPLICATION_SCOPE)
    Client.GRANT_TYPES_SUPPORTED = (*Client.GRANT_TYPES_SUPPORTED, "client_credentials", DEVICE_CODE_GRANT_TYPE)
    app: flask.Flask = oidc_provider_mock.app()
    with app.test_request_context():
        app.preprocess_request()
        server, storage = flask.g._authlib_authorization_server, flask.g.oidc_provider_mock_storage
    storage.store_client(
        Client(
            id=APPLICATION, secret=APPLICATION_SECRET, redirect_uris=[], allowed_scopes=[APPLICATION_SCOPE],
            token_endpoint_auth_method=oidc_provider_mock._storage.ClientAllowAny(),
        )
    )  # fmt: skip
    server.register_client_auth_method(_ASSERTION, Assertion(certificate))
    for grant in (Application, Device):
        server.register_grant(grant)
    server.register_endpoint(Devices)
    _add_pages(app, server)
    return app


def _add_pages(app: flask.Flask, server: Any) -> None:
    metadata: Callable[[], Any] = app.view_functions["oidc-provider-mock.openid_config"]

    def with_devices() -> Any:
        place = flask.url_for("device", _external=True)
        return flask.jsonify({**metadata().get_json(), "device_authorization_endpoint": place})

    def token() -> Any:
        request = FlaskOAuth2Request(flask.request)
        try:
            grant = server.get_token_grant(request)
            grant.validate_token_request()
            return server.handle_response(*grant.create_token_response())
        except OAuth2Error as error:
            return server.handle_error_response(request, error)

    def device() -> Any:
        return server.create_endpoint_response(Devices.ENDPOINT_NAME)

    def decide() -> Any:
        _decided[flask.request.form["user_code"]] = flask.request.form["approved"] == "yes"
        return {}

    app.view_functions["oidc-provider-mock.openid_config"] = with_devices
    app.view_functions["oidc-provider-mock.issue_token"] = token
    for path, name, view in (("/device", "device", device), ("/device/decide", "decide", decide)):
        app.add_url_rule(path, name, view, methods=["POST"])


def main() -> None:
    """Serves until it is ended."""
    port, chain, key, certificate = int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
    served = DispatcherMiddleware(NotFound(), {"/plain": oidc_provider_mock.app(), "/tenant": provider(certificate)})
    make_server("127.0.0.1", port, served, threaded=True, ssl_context=(chain, key)).serve_forever()


if __name__ == "__main__":
    main()
