"""Two devices of one identity in the page, each a client of its own."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Visit
from tests.browser.demo import add_book, book, devices, has_book, is_live, pane, says, switch, unsent, write
from tests.support.server import RunningServer


async def test_what_one_device_adds_the_other_shows_at_once_and_says_how_long_it_took(visit: Visit) -> None:
    _, phone, laptop = await devices(visit)
    await add_book(phone, "Emma")
    await has_book(laptop, "Emma")
    await expect(laptop.get_by_text(re.compile(r"^\d+ ms$"))).to_be_visible()
    await add_book(laptop, "Ulysses")
    await has_book(phone, "Ulysses")
    assert visit.troubles == []


async def test_reading_goes_on_where_any_device_left_off(visit: Visit) -> None:
    _, phone, laptop = await devices(visit)
    await add_book(phone, "Emma")
    await has_book(laptop, "Emma")
    await switch(phone)
    await switch(laptop)
    for device, times in ((phone, 3), (laptop, 1)):
        for _ in range(times):
            await device.get_by_role("button", name="Read Emma on").click()
    await switch(laptop)
    await switch(phone)
    for device in (phone, laptop):
        await expect(device.get_by_role("button", name="Continue Emma")).to_contain_text("page 30")
    await laptop.get_by_role("button", name="Continue Emma").click()
    await expect(book(phone, "Emma")).to_contain_text("40/200")
    assert visit.troubles == []


async def test_edits_made_offline_are_marked_until_they_are_sent(visit: Visit) -> None:
    _, phone, laptop = await devices(visit)
    await switch(phone)
    await expect(phone.get_by_role("status")).to_have_text("Offline")
    await add_book(phone, "Emma")
    await expect(unsent(book(phone, "Emma"))).to_have_count(1)
    await add_book(laptop, "Ulysses")
    await has_book(laptop, "Ulysses")
    await expect(book(phone, "Ulysses")).to_have_count(0)
    await expect(book(laptop, "Emma")).to_have_count(0)
    await switch(phone)
    await has_book(laptop, "Emma")
    await has_book(phone, "Ulysses")
    assert visit.troubles == []


async def test_different_fields_changed_on_both_devices_both_stand(visit: Visit) -> None:
    page, phone, laptop = await devices(visit)
    await switch(phone)
    await switch(laptop)
    await write(phone, "Name", "Ana Lovelace")
    await write(laptop, "Motto", "Reads at sea")
    await laptop.get_by_label("Large").check()
    await phone.get_by_text("Weekly summary").click()
    await switch(phone)
    await switch(laptop)
    for device in (phone, laptop):
        await says(device, "Name", "Ana Lovelace")
        await says(device, "Motto", "Reads at sea")
        await expect(device.get_by_label("Large")).to_be_checked()
        await expect(device.get_by_label("Weekly summary")).to_be_checked()
        await expect(unsent(device)).to_have_count(0)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert visit.troubles == []


async def stated(dialog: Locator, whose: str) -> str:
    return await dialog.locator(f"dt:text-is('{whose}') + dd").inner_text()


@pytest.mark.parametrize("decision", ["mine", "theirs", "own"])
async def test_a_conflict_made_on_purpose_is_asked_about(visit: Visit, decision: str) -> None:
    page, phone, laptop = await devices(visit)
    await page.get_by_role("button", name="Make a conflict").click()
    dialog = page.get_by_role("dialog", name="Laptop: which one stays?")
    await expect(dialog).to_be_visible()
    mine, theirs = await stated(dialog, "Mine"), await stated(dialog, "Theirs")
    assert mine != theirs
    await says(phone, "Name", theirs)
    await says(laptop, "Name", mine)
    if decision == "own":
        await dialog.get_by_label("Own value").fill("Ana Both")
        await dialog.get_by_role("button", name="Use this").click()
    else:
        await dialog.get_by_role("button", name=f"Keep {decision}").click()
    await expect(dialog).to_be_hidden()
    for device in (phone, laptop):
        await says(device, "Name", {"mine": mine, "theirs": theirs, "own": "Ana Both"}[decision])
        await expect(unsent(device)).to_have_count(0)
    assert visit.troubles == []


async def test_the_escape_key_decides_no_conflict(visit: Visit) -> None:
    page, phone, _ = await devices(visit)
    await page.get_by_role("button", name="Make a conflict").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    # The browser closes a dialog at the second one whatever the page says.
    for _ in range(3):
        await page.keyboard.press("Escape")
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("button", name="Keep theirs").click()
    await expect(dialog).to_be_hidden()
    await expect(unsent(phone)).to_have_count(0)


async def test_edits_survive_a_reload_while_there_is_no_connection(visit: Visit, server: RunningServer) -> None:
    page, phone, laptop = await devices(visit)
    await add_book(phone, "Emma")
    await has_book(laptop, "Emma")
    # The pages are there, and a connection is not: nobody gets a token.
    await visit.context.route("**/demo/token", lambda route: route.abort())
    server.restart()
    await add_book(phone, "Ulysses")
    await write(phone, "Motto", "Written offline")
    await expect(unsent(book(phone, "Ulysses"))).to_have_count(1)
    await page.reload()
    await expect(book(phone, "Emma")).to_be_visible()
    await expect(unsent(book(phone, "Ulysses"))).to_have_count(1)
    await says(phone, "Motto", "Written offline")
    await expect(book(laptop, "Ulysses")).to_have_count(0)
    await visit.context.unroute("**/demo/token")
    await has_book(laptop, "Ulysses")
    await says(laptop, "Motto", "Written offline")
    await expect(unsent(phone)).to_have_count(0)


async def another_tab(visit: Visit) -> tuple[Page, Locator]:
    page = await visit.open("/")
    return page, pane(page, "Phone")


async def test_two_tabs_are_one_device_offline_too(visit: Visit) -> None:
    first, phone, laptop = await devices(visit)
    second, same_phone = await another_tab(visit)
    await is_live(same_phone)
    await add_book(phone, "Emma")
    await has_book(same_phone, "Emma")
    await switch(same_phone)
    await expect(phone.get_by_role("status")).to_have_text("Offline")
    await expect(phone.get_by_role("switch", name="Online")).not_to_be_checked()
    await add_book(phone, "Ulysses")
    await expect(unsent(book(same_phone, "Ulysses"))).to_have_count(1)
    await expect(book(laptop, "Ulysses")).to_have_count(0)
    # The tab that had the connection goes; the other one takes it over, with the edit that the first one made.
    await first.close()
    await switch(same_phone)
    await has_book(pane(second, "Laptop"), "Ulysses")
    await expect(unsent(same_phone)).to_have_count(0)
    assert visit.troubles == []


async def test_the_demo_goes_on_after_the_server_was_killed(visit: Visit, server: RunningServer) -> None:
    _, phone, laptop = await devices(visit)
    await add_book(phone, "Emma")
    await has_book(laptop, "Emma")
    server.kill()
    await add_book(phone, "Ulysses")
    await write(laptop, "Motto", "Written while it was away")
    await expect(unsent(book(phone, "Ulysses"))).to_have_count(1)
    server.start()
    await expect(book(laptop, "Ulysses")).to_be_visible(timeout=40_000)
    await says(phone, "Motto", "Written while it was away")
    await is_live(phone, laptop)
    for device in (phone, laptop):
        await expect(unsent(device)).to_have_count(0)
