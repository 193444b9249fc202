"""What a visitor of the demo finds on its page, and does there."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Visit


def pane(page: Page, name: str) -> Locator:
    """A device's frame: ``Phone``, ``Laptop``; or somebody's side of the board: ``Ana’s board``."""
    return page.get_by_role("region", name=name, exact=True)


async def is_live(*panes: Locator) -> None:
    for each in panes:
        await expect(each.get_by_role("status")).to_have_text("Live")


async def devices(visit: Visit) -> tuple[Page, Locator, Locator]:
    """The page with both devices, which are connected."""
    page = await visit.open("/")
    phone, laptop = pane(page, "Phone"), pane(page, "Laptop")
    await is_live(phone, laptop)
    return page, phone, laptop


async def add_book(device: Locator, title: str) -> None:
    await device.get_by_label("New book").fill(title)
    await device.get_by_role("button", name="Add", exact=True).click()


def book(device: Locator, title: str) -> Locator:
    return device.get_by_role("listitem").filter(has_text=title)


async def has_book(device: Locator, title: str) -> None:
    """The server has it, too, as far as this device knows."""
    await expect(book(device, title)).to_be_visible()
    await expect(unsent(device)).to_have_count(0)


def unsent(place: Locator) -> Locator:
    """The marks of edits that the server does not have."""
    return place.get_by_text("not sent yet")


async def write(device: Locator, field: str, text: str) -> None:
    """As one types: the text is kept with Enter."""
    await device.get_by_label(field, exact=True).fill(text)
    await device.get_by_label(field, exact=True).press("Enter")


async def says(device: Locator, field: str, text: str) -> None:
    await expect(device.get_by_label(field, exact=True)).to_have_value(text)


async def switch(device: Locator) -> None:
    """Offline, or back."""
    await device.get_by_text("Online", exact=True).click()
