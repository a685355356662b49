"""Structured logs on stderr, by structlog: a line for each change of outcome, not for each probe."""

import logging
import sys

import structlog


def configure_logs(*, level: int = logging.INFO) -> None:
    """Logs as logfmt lines on stderr; libraries' own from warnings up, without tracebacks' locals."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="level=%(levelname)s logger=%(name)s %(message)s"
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
