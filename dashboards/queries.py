"""PromQL in small pieces: names are those of the catalogue, selectors and thresholds stand here alone.

Only labels of ours are grouped by, and `instance`, so that whatever else a scrape adds (endpoint, service, pod) leaves
every query working.
"""

from alerts.render import source
from exporter.metrics.catalogue import METRICS

#: Thresholds are the alerts'.
LIMITS = source()["config"]
#: What tells sites apart; with remote write it may be a label of yours.
SITE = "instance"

#: Which job and site; both labels are on whatever Prometheus scrapes, so the linter asks for both.
JOB = 'job=~"$job"'
HERE = f'{JOB},{SITE}=~"$instance"'
WAY = f'{HERE},target=~"$target",vantage=~"$vantage"'
VANTAGE = f'{HERE},vantage=~"$vantage"'
ACCOUNT = f'{HERE},account=~"$account"'
TARGET = f'{HERE},target=~"$target"'

TOKEN = 'mechanism="token"'
FAULT = 'cause!="healthy"'
FAILED = 'outcome!~"ok|skipped"'
RATE = "$__rate_interval"
_SUFFIXES = ("_bucket", "_count", "_sum")


def series(name: str, *matchers: str) -> str:
    """`outlook_NAME{…}`. Raises KeyError for a name that the catalogue doesn't have."""
    known = f"outlook_{name}"
    for suffix in _SUFFIXES:
        known = known.removesuffix(suffix)
    METRICS[known]
    return f"outlook_{name}{{{','.join(matchers)}}}"


def least(by: str, name: str, *matchers: str) -> str:
    """The worst of several sites, where 0 is bad."""
    return f"min by ({by}) ({series(name, *matchers)})"


def most(by: str, name: str, *matchers: str) -> str:
    """The worst of several sites, where much is bad."""
    return f"max by ({by}) ({series(name, *matchers)})"


def total(by: str, name: str, *matchers: str) -> str:
    """Gauges summed."""
    return f"sum by ({by}) ({series(name, *matchers)})"


def rate(by: str, name: str, *matchers: str) -> str:
    """A counter's growth, each second."""
    return f"sum by ({by}) (rate({series(name, *matchers)}[{RATE}]))"


def grown(by: str, name: str, *matchers: str) -> str:
    """A counter's growth over what is shown; rows that didn't grow are left out."""
    return f"sum by ({by}) (increase({series(name, *matchers)}[$__range])) > 0"


def quantile(share: float, by: str, name: str, *matchers: str) -> str:
    """Of a histogram, over the panel's own resolution."""
    return f"histogram_quantile({share}, {rate(f'{by}, le' if by else 'le', f'{name}_bucket', *matchers)})"


def until(by: str, name: str, *matchers: str) -> str:
    """Seconds from now to the first of them."""
    return f"{least(by, name, *matchers)} - time()"


def since(by: str, name: str, *matchers: str) -> str:
    """Seconds from the last of them to now."""
    return f"time() - {most(by, name, *matchers)}"
