"""Health, for whoever runs the process: does it run (``/livez``), and should it get requests (``/readyz``)?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from syncline.core.ids import IdentityId
from syncline.errors import SynclineError
from syncline.logs import get_logger
from syncline.ports import Store

_log = get_logger(__name__)
_STORE_SECONDS = 2.0


async def livez(_request: Request) -> Response:
    """200 as long as the event loop turns."""
    return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})


class Readiness:
    """200 if the server can do its work; otherwise 503 with the reasons."""

    def __init__(self, store: Store, is_draining: Callable[[], bool]) -> None:
        self._store = store
        self._is_draining = is_draining

    async def check(self, _request: Request) -> Response:
        checks = {"store": await self._store_check(), "draining": "yes" if self._is_draining() else "ok"}
        ready = all(outcome == "ok" for outcome in checks.values())
        return JSONResponse(
            {"status": "ok" if ready else "unavailable", "checks": checks},
            200 if ready else 503,
            headers={"cache-control": "no-store"},
        )

    async def _store_check(self) -> str:
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                await self._store.usage(IdentityId("readyz"))
        except TimeoutError:
            return f"no answer within {_STORE_SECONDS} s"
        except SynclineError as error:
            return error.message
        except Exception:
            _log.exception("readiness_check_failed")
            return "failed; the log has it"
        return "ok"
