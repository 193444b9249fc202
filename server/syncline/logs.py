"""Structured logs on stderr: JSON lines, or for reading on a terminal. No tokens, secrets or record values reach them.

Use ``get_logger(__name__)`` with an event and facts: ``log.info("drained", connections=3)``. What the libraries log
takes the same way out.
"""

from __future__ import annotations

import json
import logging
import math
import random
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import date, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

_random = random.Random()  # noqa: S311
# Nothing secret comes from it. To ask the system for each id would hand the interpreter to another thread meanwhile.

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]

REDACTED: Final = "[redacted]"

_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_SECRET_WORDS: Final = frozenset({"authorization", "secret", "password", "cookie", "jwt"})
_SECRET_ENDS: Final = frozenset({"token", "value", "values", "variables"})
"""Only at the end of a name: ``token_lifetime_days`` is no secret."""

_SECRET_TEXTS: Final = (
    re.compile(r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"),  # a JWT: its header begins with {"
    re.compile(r"(?<=bearer )\s*[A-Za-z0-9._~+/-]+=*", re.IGNORECASE),
    re.compile(r"(?<=token=)[^\s&\"']+", re.IGNORECASE),
)
_MACHINERY: Final = frozenset({"exc_info", "_record", "_from_structlog"})
_MOST_CHARACTERS: Final = 2_000
_MOST_TRACEBACK_CHARACTERS: Final = 20_000
_MOST_ITEMS: Final = 50
_MOST_BITS: Final = 64
_MOST_LEVELS: Final = 5


def configure(*, level: Level, format: Format, stream: TextIO | None = None) -> None:  # noqa: A002 # as the setting
    """Send all logs of this process to ``stream`` (stderr), those of libraries from ``warning`` on.

    Libraries tell contents below that: websockets its frames, uvicorn paths with their queries.
    """
    stream = sys.stderr if stream is None else stream
    console = format == "console" or (format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_FACTS, redact],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_traceback,
                _console_renderer(colors=stream.isatty()) if console else _json_line,
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("syncline").setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of the module ``name``. It can be had before ``configure`` and then goes where that says."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            *_FACTS,
            redact,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


def new_id() -> str:
    """A fresh id for a request or a connection."""
    return f"{_random.getrandbits(64):016x}"


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The event without tokens, secrets and values, and bounded in size. Of objects it does not know, only the type."""
    return {
        key: fact if key in _MACHINERY else REDACTED if _is_secret(key) else _clean(fact) for key, fact in event.items()
    }


def _redact_traceback(_logger: object, _method: str, event: EventDict) -> EventDict:
    if "exception" in event:
        # What was raised stands at the end.
        text = event["exception"][-_MOST_TRACEBACK_CHARACTERS:]
        event["exception"] = _clean_text(text, _MOST_TRACEBACK_CHARACTERS)
    return event


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    return bool(words) and (words[-1] in _SECRET_ENDS or not _SECRET_WORDS.isdisjoint(words))


def _clean(fact: object, levels: int = _MOST_LEVELS) -> Any:
    match fact:
        case float() if not math.isfinite(fact):
            return str(fact)
        case int() if fact.bit_length() > _MOST_BITS:
            return "<int>"
        case None | bool() | int() | float():
            return fact
        case str():
            return _clean_text(fact)
        case Mapping() | list() | tuple() | set() | frozenset() if levels == 0:
            return "…"
        case Mapping():
            items = list(fact.items())[:_MOST_ITEMS]
            return {
                _clean_text(str(name)): REDACTED if _is_secret(str(name)) else _clean(each, levels - 1)
                for name, each in items
            }
        case list() | tuple() | set() | frozenset():
            return [_clean(each, levels - 1) for each in list(fact)[:_MOST_ITEMS]]
        case BaseException() | PurePath() | date() | timedelta() | Enum():
            return _clean_text(str(fact))
        case _:
            return f"<{type(fact).__name__}>"


def _clean_text(text: str, most_characters: int = _MOST_CHARACTERS) -> str:
    # Cut before looking, so that a long text costs no more; what a cut leaves of a token has its signature removed.
    if len(text) > most_characters:
        text = text[:most_characters] + "…"
    for secret in _SECRET_TEXTS:
        text = secret.sub(REDACTED, text)
    return text


def _json_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return json.dumps(event)


def _console_renderer(*, colors: bool) -> Processor:
    # Other formatters show the local variables of each frame, and with them whatever was sent.
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


_FACTS: Final[list[Processor]] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
