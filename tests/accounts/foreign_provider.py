"""An identity provider that nobody here wrote (PyPI's oidc-provider-mock) over TLS, as a child:

`python -m tests.accounts.foreign_provider PORT CHAIN KEY`. It lies under /tenant, as an authority has a tenant.
"""

import sys

import oidc_provider_mock
from authlib.oauth2.rfc6749 import AuthorizationCodeGrant, RefreshTokenGrant
from oidc_provider_mock._storage import Client
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from tests.accounts.trying import MAIL_SCOPES


def main() -> None:
    """Serves until it is ended."""
    for grant in (AuthorizationCodeGrant, RefreshTokenGrant):  # public clients too, as Microsoft's device code needs
        grant.TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]
    Client.SCOPES_SUPPORTED = (*Client.SCOPES_SUPPORTED, "offline_access", *MAIL_SCOPES)
    port, chain, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    provider = DispatcherMiddleware(NotFound(), {"/tenant": oidc_provider_mock.app()})
    make_server("127.0.0.1", port, provider, threaded=True, ssl_context=(chain, key)).serve_forever()


if __name__ == "__main__":
    main()
