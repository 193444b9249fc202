"""For whoever runs the process: does it run (``/livez``), should it get requests (``/readyz``), and how busy is it
(``/metrics``)?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from syncline.core.ids import IdentityId
from syncline.errors import SynclineError
from syncline.logs import get_logger
from syncline.metrics import Metrics
from syncline.ports import Store

_log = get_logger(__name__)
_STORE_SECONDS = 2.0


async def livez(_request: Request) -> Response:
    """200 as long as the event loop turns."""
    return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})


class Readiness:
    """200 if the server can do its work; otherwise 503 with the reasons.

    Without the bus it can: what others commit then comes by the sweep. ``degraded`` says so.
    """

    def __init__(self, store: Store, is_draining: Callable[[], bool], bus_is_up: Callable[[], bool]) -> None:
        self._store = store
        self._is_draining = is_draining
        self._bus_is_up = bus_is_up

    async def check(self, _request: Request) -> Response:
        checks = {"store": await self._store_check(), "draining": "yes" if self._is_draining() else "ok"}
        ready = all(outcome == "ok" for outcome in checks.values())
        degraded = [] if self._bus_is_up() else ["bus"]
        status = "unavailable" if not ready else "degraded" if degraded else "ok"
        return JSONResponse(
            {"status": status, "checks": checks, "degraded": degraded},
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


class MetricsPage:
    """The figures, in the text format of Prometheus or that of OpenMetrics, whichever is asked for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def page(self, request: Request) -> Response:
        body, content_type = self._metrics.page(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})
