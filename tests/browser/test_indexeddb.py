"""The TypeScript client's storage in a real browser: the contract of all storages, and what a crash leaves of it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Error, Page, async_playwright

from tests.browser.conftest import FLAGS, Visit, chromium
from tests.support.server import RunningServer

CLIENT = Path(__file__).parents[2] / "frontend-demo" / "client"
SUPPORT = CLIENT / "test" / "support"
CONTRACT = re.findall(r"^  '(.+)': async \(", (SUPPORT / "store.contract.ts").read_text(), re.MULTILINE)
PAGE = "/healthz"
"""A page of the server that has no script of its own."""
EDITS = 40


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client and the contract, as one script."""
    file = tmp_path_factory.mktemp("bundle") / "browser.js"
    command = [
        "npx",
        "rolldown",
        str(SUPPORT / "browser.ts"),
        "--file",
        str(file),
        "--format",
        "iife",
        "--platform",
        "browser",
    ]
    done = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return file


@pytest.fixture
async def page(visit: Visit, bundle: Path) -> Page:
    await visit.context.add_init_script(path=bundle)
    return await visit.open(PAGE)


def test_the_contract_has_been_read() -> None:
    assert len(CONTRACT) >= 13


async def test_indexeddb_keeps_to_the_contract(page: Page) -> None:
    broken = {}
    for name in CONTRACT:
        try:
            await page.evaluate("name => syncline.keeps(name)", name)
        except Error as error:
            broken[name] = error.message
    assert broken == {}


async def test_a_storage_of_a_newer_version_is_refused_by_name(page: Page) -> None:
    code = await page.evaluate(
        """async () => {
          const request = indexedDB.open('newer', 1000);
          await new Promise((resolve) => (request.onsuccess = resolve));
          request.result.close();
          return syncline.indexedDb('newer').open().then(() => 'opened', (error) => error.code);
        }"""
    )
    assert code == "STORE_TOO_NEW"


@asynccontextmanager
async def browser_on(profile: Path, server: RunningServer, bundle: Path) -> AsyncIterator[Page]:
    """A browser of its own on a profile that outlives it."""
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(profile, executable_path=chromium(), args=FLAGS)
        await context.add_init_script(path=bundle)
        page = await context.new_page()
        await page.goto(server.url.removesuffix("/graphql") + PAGE)
        yield page
        with suppress(Error):
            await context.close()


def kill_browser(profile: Path) -> None:
    """All processes of the browser on this profile, which this test has started."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"--user-data-dir={profile}".encode() in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)


_OPEN = """async (url) => {
  const client = syncline.createClient({ url, auth: () => '', storage: syncline.indexedDb('kept'), automatic: false });
  globalThis.notes = await client.dataset('notes');
}"""


async def pending(page: Page, server: RunningServer) -> list[Any]:
    await page.evaluate(_OPEN, server.url)
    found: list[Any] = await page.evaluate("notes.pending().map(({ argument }) => argument)")
    return found


async def test_when_the_browser_is_killed_each_edit_whose_promise_was_resolved_is_there(
    server: RunningServer, bundle: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    acknowledged: list[int] = []
    enough = asyncio.Event()

    def acknowledge(number: int) -> None:
        acknowledged.append(number)
        if len(acknowledged) == EDITS:
            enough.set()

    async with browser_on(profile, server, bundle) as page:
        assert await pending(page, server) == []
        await page.expose_function("acknowledge", acknowledge)
        # It is killed while it writes; edits of different keys stay by themselves.
        await page.evaluate(
            """() => void (async () => {
              for (let number = 0; ; number++) {
                await notes.put(`key ${number}`, number);
                await acknowledge(number);
              }
            })()"""
        )
        await enough.wait()
        kill_browser(profile)
    known = list(acknowledged)
    async with browser_on(profile, server, bundle) as page:
        kept = await pending(page, server)
    assert kept[: len(known)] == known
    assert len(kept) - len(known) <= 1, "one may be kept whose maker was not told any more"
