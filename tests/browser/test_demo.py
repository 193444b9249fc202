from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Visit
from tests.support.server import RunningServer


def device(page: Page, name: str) -> Locator:
    return page.locator("section.device").filter(has=page.get_by_role("heading", name=name, exact=True))


async def add(place: Locator, text: str) -> None:
    await place.get_by_label("New item").fill(text)
    await place.get_by_role("button", name="Add").click()


async def is_live(page: Page) -> None:
    for name in ("Phone", "Laptop"):
        await expect(device(page, name).locator(".status")).to_have_text("Live")


async def test_what_one_device_adds_the_other_shows_at_once(visit: Visit) -> None:
    page = await visit.open("/demo")
    await is_live(page)
    await add(device(page, "Phone"), "passport")
    await expect(device(page, "Laptop").locator("li.item")).to_have_count(1)
    await add(device(page, "Laptop"), "charger")
    await expect(device(page, "Phone").locator("li.item")).to_have_count(2)
    assert visit.troubles == []


async def test_counts_made_offline_add_up(visit: Visit) -> None:
    page = await visit.open("/demo")
    await is_live(page)
    await page.get_by_role("button", name="Both offline").click()
    for name, times in (("Phone", 3), ("Laptop", 2)):
        for _ in range(times):
            await device(page, name).get_by_role("button", name="One bottle more").click()
    await page.get_by_role("button", name="Both online").click()
    for name in ("Phone", "Laptop"):
        await expect(device(page, name).locator("output.count")).to_have_text("5")
    assert visit.troubles == []


async def test_the_demo_goes_on_after_the_server_was_killed(visit: Visit, server: RunningServer) -> None:
    page = await visit.open("/demo")
    await is_live(page)
    server.kill()
    await add(device(page, "Phone"), "written while it was away")
    server.start()
    await expect(device(page, "Laptop").locator("li.item")).to_have_count(1, timeout=40_000)
    await is_live(page)
