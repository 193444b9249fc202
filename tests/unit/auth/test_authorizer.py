"""The operator's own judge: what it is asked, what counts as an answer, and what happens when there is none."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from syncline.auth.authorizer import Answer, Authorizer, Question
from syncline.auth.authorizer_kinds import asking
from syncline.core.ids import Tenant, identity_id
from syncline.errors import CredentialUnavailable, Unauthenticated
from syncline.ports import Presented
from tests.unit.auth.test_tokens import NOW, Clock

ASKED = Presented(
    token="opaque",  # noqa: S106 # nobody's
    headers=[(b"User-Agent", b"app/1"), (b"cookie", b"x=y")],
    address="192.0.2.1",
)


class Judge:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Question] = []

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer == "forever":
            await asyncio.Event().wait()
        found: Answer = self.answer
        return found


def authorizer(judge: Any, clock: Clock | None = None, *, tenants: bool = False, seconds: float = 5) -> Authorizer:
    return Authorizer(judge, clock or Clock(), timeout_seconds=seconds, headers=["user-agent"], tenants=tenants)


async def test_a_yes_is_believed_until_it_expires_and_asked_for_once() -> None:
    judge, clock = Judge({"identity": "ada", "device": "phone", "ttl_seconds": 60}), Clock()
    each = authorizer(judge, clock)

    found = await asyncio.gather(*(each.authenticate(ASKED) for _ in range(20)))
    clock.now = NOW + timedelta(seconds=59)
    await each.authenticate(ASKED)

    assert {(one.viewer.identity, one.viewer.device) for one in found} == {("ada", "phone")}
    assert found[0].expires_at == NOW + timedelta(seconds=60)
    assert judge.asked == [Question(token="opaque", headers={"user-agent": "app/1"}, address="192.0.2.1")]  # noqa: S106
    clock.now = NOW + timedelta(seconds=60)
    await each.authenticate(ASKED)
    assert len(judge.asked) == 2


async def test_another_token_header_or_address_is_another_question() -> None:
    judge = Judge({"identity": "ada", "ttl_seconds": 60})
    each = authorizer(judge)
    for presented in (
        ASKED,
        Presented(token="other", headers=ASKED.headers, address=ASKED.address),  # noqa: S106
        Presented(token=ASKED.token, headers=[], address=ASKED.address),
        Presented(token=ASKED.token, headers=ASKED.headers, address="192.0.2.2"),
    ):
        await each.authenticate(presented)

    assert len(judge.asked) == 4


@pytest.mark.parametrize(
    "end",
    [
        {"ttl_seconds": 60},
        {"expires_at": NOW.timestamp() + 60},
        {"expires_at": NOW + timedelta(seconds=60)},
    ],
)
async def test_an_answer_says_when_it_ends_in_one_of_three_ways(end: dict[str, Any]) -> None:
    found = await authorizer(Judge({"identity": "ada", **end})).authenticate(ASKED)

    assert found.expires_at == NOW + timedelta(seconds=60)


async def test_a_no_is_unauthenticated_and_asked_for_again() -> None:
    judge = Judge(None)
    each = authorizer(judge)

    for _ in range(2):
        with pytest.raises(Unauthenticated, match="the authorizer refuses"):
            await each.authenticate(ASKED)

    assert len(judge.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("boom"),
        7,
        "yes",
        True,
        [],
        {},
        {"identity": "ada"},
        {"identity": "", "ttl_seconds": 60},
        {"identity": 7, "ttl_seconds": 60},
        {"identity": "a\0b", "ttl_seconds": 60},
        {"identity": "a" * 300, "ttl_seconds": 60},
        {"identity": "ada", "device": "", "ttl_seconds": 60},
        {"identity": "ada", "tenant": "acme", "ttl_seconds": 60},
        {"identity": "ada", "ttl_seconds": "60"},
        {"identity": "ada", "ttl_seconds": True},
        {"identity": "ada", "ttl_seconds": float("nan")},
        {"identity": "ada", "ttl_seconds": 1e300},
        {"identity": "ada", "expires_at": "tomorrow"},
        {"identity": "ada", "expires_at": datetime(2030, 1, 1)},  # whose noon?
        {"identity": "ada", "expires_at": 1e300},
    ],
    ids=str,
)
async def test_what_is_no_answer_is_the_authorizers_fault(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CredentialUnavailable) as failure:
        await authorizer(Judge(answer)).authenticate(ASKED)

    assert failure.value.retryable
    assert "opaque" not in failure.value.message


async def test_an_answer_that_has_ended_lets_nobody_in() -> None:
    with pytest.raises(Unauthenticated, match="has expired"):
        await authorizer(Judge({"identity": "ada", "ttl_seconds": 0})).authenticate(ASKED)


async def test_an_authorizer_that_takes_too_long_is_not_waited_for() -> None:
    with pytest.raises(CredentialUnavailable, match="in time"):
        await authorizer(Judge("forever"), seconds=0.05).authenticate(ASKED)


async def test_where_tenants_are_told_apart_the_answer_names_one() -> None:
    found = await authorizer(
        Judge({"identity": "ada", "tenant": "acme", "ttl_seconds": 60}), tenants=True
    ).authenticate(ASKED)

    assert found.viewer.identity == identity_id("ada", Tenant("acme"))
    with pytest.raises(CredentialUnavailable):
        await authorizer(Judge({"identity": "ada", "ttl_seconds": 60}), tenants=True).authenticate(ASKED)


# --- the webhook ------------------------------------------------------------------------------------------------------


@contextmanager
def webhook(answer: Callable[[], tuple[int, bytes]]) -> Iterator[tuple[str, list[Any]]]:
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            status, body = answer()
            self.send_response(status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 # its name in the base class
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/authorize", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


async def test_a_webhook_is_asked_by_json() -> None:
    end = int(datetime.now(UTC).timestamp()) + 60
    body = json.dumps({"identity": "ada", "expires_at": end}).encode()
    with webhook(lambda: (200, body)) as (url, asked):
        each = Authorizer(
            asking(url, 5), lambda: datetime.now(UTC), timeout_seconds=5, headers=["user-agent"], tenants=False
        )
        found = await each.authenticate(ASKED)

    assert (found.viewer.identity, found.expires_at.timestamp()) == ("ada", end)
    assert asked == [{"token": "opaque", "headers": {"user-agent": "app/1"}, "address": "192.0.2.1"}]


@pytest.mark.parametrize("answer", [(401, b""), (403, b"no"), (200, b"null")])
async def test_a_webhook_refuses_by_status_or_null(answer: tuple[int, bytes]) -> None:
    with webhook(lambda: answer) as (url, _), pytest.raises(Unauthenticated):
        await authorizer(asking(url, 5)).authenticate(ASKED)


@pytest.mark.parametrize(
    "answer", [(500, b""), (302, b""), (404, b""), (200, b""), (200, b"<html>"), (200, b"[1]"), (200, b" " * 100_000)]
)
async def test_a_webhook_that_fails_lets_nobody_in(answer: tuple[int, bytes]) -> None:
    with webhook(lambda: answer) as (url, asked), pytest.raises(CredentialUnavailable):
        await authorizer(asking(url, 5)).authenticate(ASKED)

    assert len(asked) == 1
