"""A real Chromium in front of a real server that serves the built pages."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from syncline.web.pages import STATIC
from tests.support.server import RunningServer, running_server

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# As long as for all else: these browsers share their cores with servers under test.
expect.set_options(timeout=20_000)


class Visit:
    """A browser window, and what went wrong in it."""

    def __init__(self, context: BrowserContext, server: RunningServer) -> None:
        self.context = context
        self.address = server.url.removesuffix("/graphql")
        self.troubles: list[str] = []

    async def open(self, path: str) -> Page:
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.troubles.append(f"{path}: {error}"))
        page.on("console", lambda said: self.troubles.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: self._stays_here(request.url))
        await page.goto(self.address + path)
        return page

    def _stays_here(self, url: str) -> None:
        if not url.startswith((self.address, self.address.replace("http", "ws", 1), "data:", "blob:")):
            self.troubles.append(f"asked elsewhere: {url}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    assert (STATIC / "graphiql.html").exists(), "the pages are not built: run `make test`"
    with running_server(tmp_path) as server:
        yield server


def chromium() -> str:
    """Where it is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "no Chromium: install it (Debian: apt-get install chromium)"
    return found


@pytest.fixture
async def visit(server: RunningServer) -> AsyncIterator[Visit]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        visit = Visit(await browser.new_context(viewport={"width": 1400, "height": 900}), server)
        visit.context.set_default_timeout(20_000)
        yield visit
        await browser.close()
