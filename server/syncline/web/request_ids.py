"""Request ids, under which the log has what a caller is not told."""

from __future__ import annotations

import re

from syncline.logs import new_id

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")


def request_id(wanted: str | None = None) -> str:
    """``wanted``, if it is safe to log and to send back; otherwise a new one."""
    if wanted is not None and _REQUEST_ID.match(wanted):
        return wanted
    return new_id()
