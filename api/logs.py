"""Structured logs: one JSON object a line on standard error. The last net for secrets: what looks like one is
masked."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping

import structlog

# Second net only: values are typed so that they never get here. API keys, bearer tokens, callback tokens, MSISDNs.
_MASKS = (
    (re.compile(r"dft_[0-9A-Z]{13}_[0-9a-f]+"), "dft_***"),
    (re.compile(r"(?i)bearer\s+[\w.~+/-]+=*"), "Bearer ***"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "***"),
    (re.compile(r"\b(2[0-9]{3})[0-9]{4,7}([0-9]{4})\b"), r"\1****\2"),
)


def configure(level: str) -> None:
    """Sets structlog and the standard library's logging up for this process."""
    logging.basicConfig(level=level, stream=sys.stderr, format="%(message)s", force=True)
    for chatty in ("alembic", "httpx", "httpcore", "uvicorn.access", "uvicorn.error", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask_secrets,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


def mask_secrets(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Masks anything in a text value that has the shape of a secret or a full phone number."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = mask(value)
    return event


def mask(text: str) -> str:
    """The text without what looks like a key, a token or a full phone number."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text
