"""One sign-in of one account at one target: walked to as a probe does, one real secret presented, explained."""

from datetime import datetime

from exporter.catalogue import Target
from exporter.observations import AccountResult, TokenUse
from exporter.probe.walk import Tools, Vantage
from exporter.probe.way import Deadline
from exporter.secret_files import Secret
from exporter.settings_account import AccountSettings


async def sign_in(
    account: AccountSettings,
    target: Target,
    vantage: Vantage,
    tools: Tools,
    secret: Secret,
    *,
    deadline: Deadline,
    skew: float = 0.0,
    expires_at: datetime | None = None,
    token: TokenUse | None = None,
    start: int = 0,
) -> AccountResult:
    """Signs in once. Never raises but for cancellation; what can't be done is said in the result.

    `secret`: the access token, or an app password. `skew`: seconds this machine is ahead, as the prober found.
    `expires_at`: of the token; `token`: where it came from, for the result. `start`: which of the target's addresses
    to begin with.
    """
    raise NotImplementedError
