from __future__ import annotations

import pytest

from syncline.client.endpoints import Tokens, endpoint
from syncline.errors import InvalidInput


@pytest.mark.parametrize(
    ("url", "http", "socket"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/graphql", "ws://127.0.0.1:8000/graphql"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/graphql", "ws://127.0.0.1:8000/graphql"),
        ("https://sync.example/api", "https://sync.example/api", "wss://sync.example/api"),
        ("http://[::1]:8000/graphql#x", "http://[::1]:8000/graphql", "ws://[::1]:8000/graphql"),
    ],
)
def test_an_address_stands_for_http_and_websocket(url: str, http: str, socket: str) -> None:
    assert (endpoint(url).http, endpoint(url).socket) == (http, socket)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ws://127.0.0.1/graphql", "http://", "http://[::1", "file:///x"])
def test_what_is_no_http_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="server"):
        endpoint(url)


async def test_a_fixed_token_cannot_be_renewed() -> None:
    tokens = Tokens("one")
    assert await tokens.current() == "one"
    assert not await tokens.renew()


async def test_a_provider_is_asked_once_and_again_only_for_a_fresh_token() -> None:
    given = iter(["one", "two", "two"])

    async def provider() -> str:
        return next(given)

    tokens = Tokens(provider)
    assert [await tokens.current(), await tokens.current()] == ["one", "one"]
    assert await tokens.renew()
    assert await tokens.current() == "two"
    assert not await tokens.renew()
