"""Strawberry as its documentation shows it, with Starlette and uvicorn, and events over Redis."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL

from tests.benchmarks.baselines.notes import ForgottenNotes, Notes, PostgresNotes, SqliteNotes
from tests.benchmarks.baselines.redis_events import RedisEvents
from tests.benchmarks.baselines.serving import serve
from tests.benchmarks.baselines.strawberry_schema import make_schema


class GraphQLApp(GraphQL[dict[str, Any], None]):
    """Gives the resolvers what they need."""

    def __init__(self, notes: Notes, events: RedisEvents, *, cached: bool) -> None:
        super().__init__(make_schema(cached=cached))
        self._notes = notes
        self._events = events

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> dict[str, Any]:
        return {"request": request, "response": response, "notes": self._notes, "events": self._events}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", metavar="PORT", type=int, required=True)
    parser.add_argument("--cached", action="store_true", help="keep parsed and validated documents")
    parser.add_argument("--sqlite", metavar="FILE", type=Path, help="make mutations durable there")
    parser.add_argument("--postgres", metavar="URL", help="or there; the tables are in it")
    arguments = parser.parse_args()
    notes: Notes = ForgottenNotes()
    if arguments.sqlite is not None:
        notes = SqliteNotes(arguments.sqlite)
    if arguments.postgres is not None:
        notes = PostgresNotes(arguments.postgres)
    events = RedisEvents(arguments.redis)
    graphql = GraphQLApp(notes, events, cached=arguments.cached)
    routes = [Route("/graphql", graphql), WebSocketRoute("/graphql", graphql)]
    serve(Starlette(routes=routes, lifespan=lambda _: events.running()))


if __name__ == "__main__":
    main()
