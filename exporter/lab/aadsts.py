"""Entra's error numbers as the embedded sign-in hosts answer them (facts 4.5, 4.6): HTTP status, error, text, suberror.

The texts are Microsoft's where a reply of it is public, else stand for it, for they vary; numbers, errors and statuses
are the facts'.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignInError:
    """`text` may hold {placeholders} that the reply fills in."""

    status: int
    error: str
    text: str
    suberror: str | None = None
    claims: str | None = None


_GRANT, _REQUEST, _CLIENT = "invalid_grant", "invalid_request", "invalid_client"
_INTERACTION, _UNAUTHORIZED, _RESOURCE = "interaction_required", "unauthorized_client", "invalid_resource"
_AWAY = "temporarily_unavailable"
_CLAIMS = '{"access_token":{"capolids":{"essential":true,"values":["00000000-0000-0000-0000-0000000000aa"]}}}'
_DENIED = "Access to '{tenant}' tenant is denied."

ERRORS: dict[int, SignInError] = {
    # liveness: what an empty or misdirected request is told
    900144: SignInError(400, _REQUEST, "The request body must contain the following parameter: '{parameter}'."),
    900561: SignInError(400, _REQUEST, "The endpoint only accepts POST requests. Received a GET request."),
    90002: SignInError(400, "invalid_tenant", "Tenant '{tenant}' not found. Check to make sure you have the correct "
                       "tenant ID and are signing into the correct cloud."),
    51005: SignInError(400, _REQUEST, "Temporary redirect."),
    # users
    50034: SignInError(400, _GRANT, "The user account {user} does not exist in the {tenant} directory. To sign into "
                       "this application, the account must be added to the directory."),
    50053: SignInError(400, _GRANT, "The account is locked, you've tried to sign in too many times with an incorrect "
                       "user ID or password."),
    50055: SignInError(400, _GRANT, "The password is expired.", "user_password_expired"),
    50144: SignInError(400, _GRANT, "The user's Active Directory password has expired.", "user_password_expired"),
    50056: SignInError(400, _GRANT, "Invalid or null password: password does not exist in the directory for this "
                       "user."),
    50057: SignInError(400, _GRANT, "The user account is disabled."),
    50058: SignInError(400, _INTERACTION, "A silent sign-in request was sent but no user is signed in."),
    50126: SignInError(400, _GRANT, "Error validating credentials due to invalid username or password."),
    50105: SignInError(400, _INTERACTION, "Your administrator has configured the application {client} to block users "
                       "unless they are specifically granted ('assigned') access to the application."),
    50020: SignInError(400, _GRANT, "User account '{user}' from identity provider 'live.com' does not exist in tenant "
                       "'{tenant}' and cannot access the application '{client}' in that tenant."),
    500208: SignInError(400, _GRANT, "The domain is not a valid login domain for the account type."),
    # more than a password is wanted
    50072: SignInError(400, _INTERACTION, "Due to a configuration change made by your administrator, or because you "
                       "moved to a new location, you must enroll in multi-factor authentication to access "
                       "'{client}'.", "basic_action"),
    50074: SignInError(400, _INTERACTION, "Strong Authentication is required.", "basic_action", _CLAIMS),
    50076: SignInError(400, _GRANT, "Due to a configuration change made by your administrator, or because you moved "
                       "to a new location, you must use multi-factor authentication to access '{client}'.",
                       "basic_action", _CLAIMS),
    50078: SignInError(400, _GRANT, "Presented multi-factor authentication has expired due to policies configured by "
                       "your administrator, you must refresh your multi-factor authentication to access '{client}'.",
                       "basic_action"),
    50079: SignInError(400, _INTERACTION, "Due to a configuration change made by your administrator, or because you "
                       "moved to a new location, you must enroll in multi-factor authentication to access "
                       "'{client}'.", "basic_action"),
    50158: SignInError(400, _INTERACTION, "External security challenge not satisfied. User will be redirected to "
                       "another page or authentication provider to satisfy additional authentication challenges."),
    50087: SignInError(503, _AWAY, "A transient error has occurred during strong authentication. Please try again."),
    50088: SignInError(400, _GRANT, "Limit on telecom MFA calls reached. Please try again in a few minutes."),
    50089: SignInError(400, _GRANT, "Authentication failed due to flow token expired."),
    53004: SignInError(400, _GRANT, "User needs to complete Multi-factor authentication registration process before "
                       "accessing this content; the sign-in is blocked due to risk."),
    53010: SignInError(400, _GRANT, "Cannot configure multi-factor authentication methods because the organization "
                       "requires this information to be set from specific locations or devices."),
    # devices and conditional access
    50097: SignInError(400, _INTERACTION, "Device authentication is required."),
    50129: SignInError(400, _INTERACTION, "Device is not Workplace joined. Workplace join is required to register the "
                       "device."),
    50155: SignInError(400, _INTERACTION, "Device authentication failed for this user."),
    50187: SignInError(400, _GRANT, "Failed to perform device authentication: device information is missing."),
    50192: SignInError(400, _REQUEST, "Invalid request: the credential is absent."),
    50131: SignInError(400, _GRANT, "Device is not in required device state, or the request was blocked due to "
                       "suspicious activity, access policy, or security policy decisions."),
    53000: SignInError(400, _INTERACTION, "Your device is required to be managed to access this resource. Device "
                       "state: not compliant.", "message_only", _CLAIMS),
    53001: SignInError(400, _INTERACTION, "Device is not in required device state: {client}. Conditional Access "
                       "policy requires a domain joined device.", "message_only"),
    53002: SignInError(400, _INTERACTION, "Application used is not an approved application for Conditional Access.",
                       "message_only"),
    53003: SignInError(400, _GRANT, "Access has been blocked by Conditional Access policies. The access policy does "
                       "not allow token issuance.", "message_only", _CLAIMS),
    530032: SignInError(400, _GRANT, "Blocked by security policy."),
    530035: SignInError(400, _GRANT, "Access has been blocked by security defaults. This is due to the request using "
                        "legacy auth."),
    53011: SignInError(400, _GRANT, "User blocked due to risk on home tenant."),
    50135: SignInError(400, _GRANT, "Password change is required due to account risk."),
    700003: SignInError(400, _GRANT, "Device object was not found in the tenant '{tenant}' directory."),
    135011: SignInError(400, _GRANT, "Device used during the authentication is disabled."),
    135010: SignInError(400, _GRANT, "Key not found."),
    # tenant restrictions, put in by a proxy; policies between tenants
    50002: SignInError(400, _REQUEST, "Sign in failed due to restricted proxy access on the tenant."),
    500021: SignInError(400, _REQUEST, _DENIED),
    500022: SignInError(400, _REQUEST, _DENIED),
    500212: SignInError(400, _REQUEST, "The user's administrator has set an outbound access policy that does not "
                        "allow access to the resource tenant."),
    500213: SignInError(400, _REQUEST, "The resource tenant's cross-tenant access policy does not allow this user to "
                        "access this tenant."),
    5000211: SignInError(400, _REQUEST, "A tenant restrictions policy added to this request by a device or network "
                         "administrator does not allow access to '{tenant}'."),
    # grants
    50132: SignInError(400, _GRANT, "Credentials have been revoked due to the following reasons: SSO artifact is "
                       "invalid or expired, session not fresh enough for application, user's password was changed."),
    50133: SignInError(400, _GRANT, "Session is invalid due to expiration or recent password change."),
    50173: SignInError(400, _GRANT, "The provided grant has expired due to it being revoked, a fresh auth token is "
                       "needed. The user might have changed or reset their password. The grant was issued on "
                       "'{begins}' and the TokensValidFrom date (before which tokens are not valid) for this user is "
                       "'{ends}'.", "bad_token"),
    54005: SignInError(400, _GRANT, "OAuth2 Authorization code was already redeemed, please retry with a new valid "
                       "code or use an existing refresh token."),
    70000: SignInError(400, _GRANT, "The user could not be authenticated as the grant is expired. The user must sign "
                       "in again."),
    70008: SignInError(400, _GRANT, "The provided authorization code or refresh token has expired due to inactivity. "
                       "Send a new interactive authorization request for this user and resource."),
    700082: SignInError(400, _GRANT, "The refresh token has expired due to inactivity. The token was issued on "
                        "{begins} and was inactive for 90.00:00:00."),
    700084: SignInError(400, _GRANT, "The refresh token was issued to a single page app (SPA), and therefore has a "
                        "fixed, limited lifetime of 1.00:00:00, which cannot be extended. It is now expired and a new "
                        "sign in request must be sent by the SPA to the sign in page. The token was issued on "
                        "{begins}."),
    70043: SignInError(400, _GRANT, "The refresh token has expired or is invalid due to sign-in frequency checks by "
                       "conditional access. The token was issued on {begins} and the maximum allowed lifetime for this "
                       "request is 86400.", "token_expired"),
    81010: SignInError(400, _GRANT, "Seamless SSO failed because the user's Kerberos ticket has expired or is "
                       "invalid."),
    65001: SignInError(400, _GRANT, "The user or administrator has not consented to use the application with ID "
                       "'{client}'. Send an interactive authorization request for this user and resource.",
                       "consent_required"),
    90008: SignInError(400, _GRANT, "The user or administrator has not consented to use the application. The app must "
                       "request access to at least sign in and read the user profile."),
    90094: SignInError(400, _GRANT, "Admin consent is required for the permissions requested by this application."),
    90095: SignInError(400, _GRANT, "Admin consent is required; the user sees a request form."),
    650052: SignInError(400, _REQUEST, "The app is trying to access a service that your organization '{tenant}' lacks "
                        "a service principal for. Contact your IT Admin to review the configuration of your service "
                        "subscriptions or consent to the application."),
    650056: SignInError(400, _REQUEST, "Misconfigured application. This could be due to one of the following: the "
                        "client has not listed any permissions in the requested permissions, or the admin has not "
                        "consented in the tenant."),
    650057: SignInError(400, _RESOURCE, "Invalid resource. The client has requested access to a resource which is not "
                        "listed in the requested permissions in the client's application registration."),
    # device code
    70016: SignInError(400, "authorization_pending", "OAuth 2.0 device flow error. Authorization is pending. Continue "
                       "polling."),
    70018: SignInError(400, "bad_verification_code", "Invalid verification code due to user typing in wrong user code "
                       "for device code flow."),
    70019: SignInError(400, "expired_token", "Verification code expired. Have the user retry the sign-in."),
    70020: SignInError(400, "expired_token", "The provided value for the input parameter 'device_code' is not valid. "
                       "This device code has expired."),
    65004: SignInError(400, "authorization_declined", "User declined to consent to access the app."),
    # the application
    70001: SignInError(400, _UNAUTHORIZED, "Application with identifier '{client}' was not found in the directory "
                       "'{tenant}'."),
    70002: SignInError(401, _CLIENT, "Error validating credentials. The provided client secret is missing."),
    7000215: SignInError(401, _CLIENT, "Invalid client secret provided. Ensure the secret being sent in the request is "
                         "the client secret value, not the client secret ID, for a secret added to app '{client}'."),
    7000218: SignInError(401, _CLIENT, "The request body must contain the following parameter: 'client_assertion' or "
                         "'client_secret'."),
    7000222: SignInError(401, _CLIENT, "The provided client secret keys for app '{client}' are expired. Visit the "
                         "Azure portal to create new keys for your app, or consider using certificate credentials for "
                         "added security."),
    700005: SignInError(400, _GRANT, "Provided Authorization Code is intended to use against other tenant."),
    700011: SignInError(400, _UNAUTHORIZED, "Application with identifier '{client}' was not found in the directory "
                        "'{tenant}' for the caller."),
    700016: SignInError(400, _UNAUTHORIZED, "Application with identifier '{client}' was not found in the directory "
                        "'{tenant}'. This can happen if the application has not been installed by the administrator of "
                        "the tenant or consented to by any user in the tenant."),
    7000112: SignInError(400, _UNAUTHORIZED, "Application '{client}' is disabled."),
    500011: SignInError(400, _RESOURCE, "The resource principal named https://outlook.example.com was not found in the "
                        "tenant named {tenant}."),
    50194: SignInError(400, _REQUEST, "Application '{client}' is not configured as a multi-tenant application. Usage "
                       "of the /common endpoint is not supported for such apps."),
    9001023: SignInError(400, _REQUEST, "The grant type is not supported over the /common or /consumers endpoints. "
                         "Please use the /organizations or tenant-specific endpoint."),
    9002332: SignInError(400, _REQUEST, "Application '{client}' is configured for use by Azure Active Directory users "
                         "only. Please do not use the /consumers endpoint to serve this request."),
    90124: SignInError(400, _REQUEST, "Resource 'https://outlook.office.com' is not supported over the /common or "
                       "/consumers endpoints."),
    90130: SignInError(400, _REQUEST, "Application '{client}' is not supported over the /common or /consumers "
                       "endpoints."),
    50012: SignInError(401, _CLIENT, "Client assertion is not within its valid time range."),
    50013: SignInError(400, _GRANT, "Assertion failed signature validation."),
    50027: SignInError(401, _CLIENT, "JWT token is invalid or malformed."),
    500133: SignInError(400, _GRANT, "Assertion is not within its valid time range. Ensure that the access token is "
                        "not expired before using it for user assertion, or request a new token. Current time: {now}, "
                        "expiry time of assertion {ends}."),
    700024: SignInError(401, _CLIENT, "Client assertion is not within its valid time range. Current time: {now}, "
                        "assertion valid from {begins}, expiry time of assertion {ends}."),
    80013: SignInError(400, _GRANT, "The authentication attempt could not be completed due to time skew between the "
                       "machine running the authentication agent and AD."),
    1002012: SignInError(400, "invalid_scope", "The provided value for scope is not valid. Client credential flows "
                         "must have a scope value with /.default suffixed to the resource identifier."),
    28000: SignInError(400, _REQUEST, "Provided value for the input parameter scope is not valid because it contains "
                       "more than one resource."),
    28002: SignInError(400, _REQUEST, "Provided value for the input parameter scope is not valid when requesting an "
                       "access token. Please specify a valid scope."),
    70003: SignInError(400, "unsupported_grant_type", "The app requested an unsupported grant type '{grant}'."),
    70011: SignInError(400, "invalid_scope", "The provided request must include a 'scope' input parameter. The "
                       "provided value for the input parameter 'scope' is not valid."),
    700022: SignInError(400, _REQUEST, "The provided value for the input parameter scope is not valid because it "
                        "contains more than one resource."),
    # the service
    50000: SignInError(500, "server_error", "There was an error issuing a token or an issue with our sign-in service."),
    50033: SignInError(503, _AWAY, "A transient error has occurred. Please try again."),
    50196: SignInError(400, _GRANT, "The server terminated an operation because it encountered a client request loop. "
                       "Please contact your app vendor."),
    70012: SignInError(500, "server_error", "A server error occurred while authenticating an MSA (consumer) user."),
    80001: SignInError(400, _GRANT, "The Authentication Agent is unable to connect to Active Directory."),
    80002: SignInError(400, _GRANT, "Password validation request timed out."),
    80005: SignInError(400, _GRANT, "An unknown error occurred while processing the response from the Authentication "
                       "Agent."),
    80007: SignInError(400, _GRANT, "The Authentication Agent is unable to validate user's password."),
    80014: SignInError(400, _GRANT, "Validation request responded after maximum elapsed time exceeded."),
    90006: SignInError(503, _AWAY, "The service is temporarily unavailable. Please retry later."),
    90012: SignInError(503, _AWAY, "The request has timed out."),
    90024: SignInError(503, _AWAY, "The request budget has been exceeded. A transient error has occurred. Please try "
                       "again."),
    90033: SignInError(503, _AWAY, "A transient error has occurred. Please try again."),
    90036: SignInError(500, "server_error", "An unexpected, non-retryable error stemming from the directory service "
                       "has occurred."),
    90055: SignInError(429, _AWAY, "There are too many incoming requests."),
    90090: SignInError(503, _AWAY, "Graph returned a retryable error: the service is temporarily unavailable."),
    230109: SignInError(503, _AWAY, "Backup Auth Service only allows AuthN requests from Microsoft Entra Gateway."),
}  # fmt: skip

#: Other sentences behind a number, and a nested one, by key.
SENTENCES: dict[str, SignInError] = {
    "70000.abuse": SignInError(400, _GRANT, "User account is found to be in service abuse mode."),
    "70000.scopes": SignInError(400, _GRANT, "The request was denied because one or more scopes requested are "
                                "unauthorized or expired. The user must first sign in and grant the client application "
                                "access to the requested scope."),
    "70000.other_scopes": SignInError(400, _GRANT, "The provided value for the input parameter 'refresh_token' is not "
                                      "valid: the grant was issued for different scopes."),
    "50053.address": SignInError(400, _GRANT, "Sign-in was blocked because it came from an IP address with malicious "
                                 "activity."),
    "50027.time": SignInError(401, _CLIENT, "Invalid JWT token. Token is not within its valid time range. Current "
                              "time: {now}, expiry time of assertion {ends}."),
    "70002.time": SignInError(401, _CLIENT, "Error validating credentials. AADSTS50012: Client assertion contains an "
                              "invalid time: it is not within its valid time range."),
}  # fmt: skip

#: A number that is asked for and isn't in the table.
OTHER = SignInError(400, _REQUEST, "The request failed.")


def error_named(name: int | str) -> tuple[int, SignInError]:
    """An error's number and form, by number or by key of SENTENCES; a number that isn't known gets OTHER's form."""
    number = int(str(name).partition(".")[0])
    return number, SENTENCES[name] if isinstance(name, str) and name in SENTENCES else ERRORS.get(number, OTHER)
