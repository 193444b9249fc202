"""How an authorizer is reached: ``module:function`` in this process, or a webhook at ``https://…``."""

from __future__ import annotations

import importlib
import inspect
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from syncline.addresses import is_loopback
from syncline.auth.authorizer import Answer, Ask, Question
from syncline.errors import StartRefused
from syncline.sign_in import wrong_url

_MOST_BYTES = 64 * 1024
_REFUSALS = frozenset({401, 403})
_SETTING = "authorizer"


def asking(target: str, timeout_seconds: float) -> Ask:
    """How to ask ``target``. Raises StartRefused, with what is wrong with it."""
    if "://" in target:
        wrong = wrong_url(target)
        if wrong:
            raise StartRefused(f"authorizer: {target!r} {wrong}", setting=_SETTING)
        return _webhook(target, timeout_seconds)
    return _function(target)


def _function(target: str) -> Ask:
    module, _, name = target.partition(":")
    if not module or not name:
        raise StartRefused(f"authorizer: {target!r} is neither module:function nor a URL", setting=_SETTING)
    try:
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except Exception as error:
        raise StartRefused(
            f"authorizer: {target!r} cannot be imported: {type(error).__name__}: {error}", setting=_SETTING
        ) from error
    if not inspect.iscoroutinefunction(function):
        raise StartRefused(f"authorizer: {target!r} is no async function", setting=_SETTING)

    async def ask(question: Question) -> Answer:
        answer: Answer = await function(token=question.token, headers=dict(question.headers), address=question.address)
        return answer

    return ask


def _webhook(url: str, timeout_seconds: float) -> Ask:
    loopback = is_loopback(urlsplit(url).hostname or "")

    async def ask(question: Question) -> Answer:
        body = msgspec.json.encode(
            {"token": question.token, "headers": dict(question.headers), "address": question.address}
        )
        # Redirects are not followed: the token goes where the settings say, and nowhere else.
        async with (
            httpx.AsyncClient(follow_redirects=False, timeout=timeout_seconds, trust_env=not loopback) as http,
            http.stream("POST", url, content=body, headers={"content-type": "application/json"}) as response,
        ):
            if response.status_code in _REFUSALS:
                return None
            if response.status_code != httpx.codes.OK:
                raise WebhookFailed(f"status {response.status_code}")
            read = bytearray()
            async for chunk in response.aiter_bytes():
                read += chunk
                if len(read) > _MOST_BYTES:
                    raise WebhookFailed("the answer is too long")
        answer: Answer = msgspec.json.decode(bytes(read), type=dict[str, Any] | None)
        return answer

    return ask


class WebhookFailed(Exception):
    """The webhook answers in a way that says neither yes nor no."""
