"""Entra's error numbers as the embedded sign-in hosts answer them (facts 4.5, 4.6): HTTP status, error, text, suberror.

Texts stand for Microsoft's, which vary; numbers, errors and statuses are the facts'.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignInError:
    """`text` may hold {placeholders} that the reply fills in."""

    status: int
    error: str
    text: str
    suberror: str | None = None


_GRANT, _REQUEST, _CLIENT = "invalid_grant", "invalid_request", "invalid_client"
_INTERACTION = "interaction_required"

ERRORS: dict[int, SignInError] = {
    # liveness: what an empty or misdirected request is told
    900144: SignInError(400, _REQUEST, "The request body must contain the following parameter: '{parameter}'."),
    900561: SignInError(400, _REQUEST, "The endpoint only accepts POST requests. Received a GET request."),
    90002: SignInError(400, "invalid_tenant", "Tenant '{tenant}' not found. Check to make sure you have the correct "
                       "tenant ID and are signing into the correct cloud."),
    # users
    50034: SignInError(400, _GRANT, "The user account does not exist in the directory."),
    50053: SignInError(400, _GRANT, "The account is locked, you've tried to sign in too many times with an incorrect "
                       "user ID or password."),
    50055: SignInError(400, _GRANT, "The password is expired.", "user_password_expired"),
    50057: SignInError(400, _GRANT, "The user account is disabled."),
    50126: SignInError(400, _GRANT, "Error validating credentials due to invalid username or password."),
    50105: SignInError(400, _GRANT, "The signed in user is not assigned to a role for the application."),
    50020: SignInError(400, _GRANT, "User account from identity provider 'live.com' does not exist in tenant."),
    # more than a password is wanted
    50072: SignInError(400, _INTERACTION, "Due to a configuration change made by your administrator, you must enroll "
                       "in multi-factor authentication.", "basic_action"),
    50076: SignInError(400, _GRANT, "Due to a configuration change made by your administrator, or because you moved "
                       "to a new location, you must use multi-factor authentication.", "basic_action"),
    50079: SignInError(400, _INTERACTION, "You must enroll in multi-factor authentication.", "basic_action"),
    50158: SignInError(400, _INTERACTION, "External security challenge not satisfied."),
    # devices and conditional access
    50097: SignInError(400, _INTERACTION, "Device authentication is required."),
    53000: SignInError(400, _INTERACTION, "Your device is required to be compliant.", "message_only"),
    53003: SignInError(400, _GRANT, "Access has been blocked by Conditional Access policies.", "message_only"),
    530035: SignInError(400, _GRANT, "Access has been blocked by security defaults."),
    # tenant restrictions, put in by a proxy
    50002: SignInError(400, _REQUEST, "The administrator of this network doesn't allow access to this tenant."),
    500021: SignInError(400, _REQUEST, "Access to the tenant is denied by the network's tenant restrictions."),
    500022: SignInError(400, _REQUEST, "Access to the tenant is denied by the network's tenant restrictions."),
    # grants
    50173: SignInError(400, _GRANT, "The provided grant has expired due to it being revoked, a fresh auth token is "
                       "needed. TokensValidFrom date is after the grant was issued.", "bad_token"),
    70000: SignInError(400, _GRANT, "The user could not be authenticated as the grant is expired. The user must sign "
                       "in again."),
    70008: SignInError(400, _GRANT, "The refresh token has expired due to inactivity."),
    700082: SignInError(400, _GRANT, "The refresh token has expired due to inactivity. The token was inactive for "
                        "90.00:00:00."),
    70043: SignInError(400, _GRANT, "The refresh token has expired or is invalid due to sign-in frequency checks by "
                       "conditional access. The maximum allowed lifetime for this request is 86400.", "token_expired"),
    65001: SignInError(400, _GRANT, "The user or administrator has not consented to use the application.",
                       "consent_required"),
    90094: SignInError(400, _GRANT, "Admin consent is required."),
    # device code
    70016: SignInError(400, "authorization_pending", "OAuth 2.0 device flow error. Authorization is pending. Continue "
                       "polling."),
    70018: SignInError(400, "bad_verification_code", "Invalid verification code."),
    70019: SignInError(400, "expired_token", "The verification code is expired."),
    65004: SignInError(400, "authorization_declined", "The user declined to consent to the app."),
    # the application
    70002: SignInError(401, _CLIENT, "Error validating credentials. The provided client secret is missing."),
    7000215: SignInError(401, _CLIENT, "Invalid client secret provided. Ensure the secret being sent in the request is "
                         "the client secret value, not the client secret ID."),
    7000218: SignInError(401, _CLIENT, "The request body must contain the following parameter: 'client_assertion' or "
                         "'client_secret'."),
    7000222: SignInError(401, _CLIENT, "The provided client secret keys for app are expired."),
    700016: SignInError(400, "unauthorized_client", "Application with identifier '{client}' was not found in the "
                        "directory."),
    7000112: SignInError(400, "unauthorized_client", "Application '{client}' is disabled."),
    700024: SignInError(401, _CLIENT, "Client assertion is not within its valid time range. Current time: {now}, "
                        "assertion valid from {begins}, expiry time of assertion {ends}."),
    50027: SignInError(401, _CLIENT, "JWT token is invalid or malformed."),
    70011: SignInError(400, "invalid_scope", "The provided value for the input parameter 'scope' is not valid."),
    70003: SignInError(400, "unsupported_grant_type", "The app requested an unsupported grant type '{grant}'."),
    28000: SignInError(400, _REQUEST, "Provided value for the input parameter scope is not valid because it contains "
                       "more than one resource."),
    # the service
    50196: SignInError(400, _GRANT, "The server terminated an operation because it encountered a client request loop."),
    90033: SignInError(503, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    90055: SignInError(429, "temporarily_unavailable", "The tenant has exceeded its request limit."),
}  # fmt: skip

#: A number that is asked for and isn't in the table.
OTHER = SignInError(400, _REQUEST, "The request failed.")
