"""What becomes of edits that meet: on two devices, and of people who lose a board and get it back."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Visit
from tests.browser.test_demo import add, cards, device, devices_are_live, online, opened_board, status, titles
from tests.support.server import RunningServer


async def both(phone: Locator, laptop: Locator, *, are_online: bool) -> None:
    for place in (phone, laptop):
        await online(place).set_checked(are_online, force=True)


async def write(place: Locator, field: str, text: str) -> None:
    await place.get_by_label(field).fill(text)
    await place.get_by_label(field).press("Enter")


async def asked_about_a_conflict(page: Page) -> Locator:
    await devices_are_live(page)
    await page.get_by_role("button", name="Make a conflict").click()
    dialog = page.get_by_role("dialog", name="Laptop: which one stays?")
    await expect(dialog).to_be_visible()
    return dialog


async def test_reading_goes_on_where_any_device_left_off(visit: Visit) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    await add(phone, "Emma")
    await expect(titles(laptop)).to_have_text(["Emma"])
    await both(phone, laptop, are_online=False)
    for place, times in ((phone, 3), (laptop, 1)):
        for _ in range(times):
            await place.get_by_role("button", name="Read Emma on").click()
    # The one that read less comes back last.
    await online(phone).set_checked(True, force=True)
    await expect(phone.get_by_title("Not sent yet")).to_have_count(0)
    await online(laptop).set_checked(True, force=True)
    for place in (phone, laptop):
        await expect(place.get_by_role("button", name=re.compile("Continue Emma"))).to_contain_text("page 30")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert visit.troubles == []


async def test_different_fields_changed_on_both_devices_both_stand(visit: Visit) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    await both(phone, laptop, are_online=False)
    await write(phone, "Name", "Ana Lovelace")
    await laptop.get_by_label("Large").check()
    await write(laptop, "Motto", "Reads at sea")
    await phone.get_by_role("switch", name="Weekly summary").check(force=True)
    await both(phone, laptop, are_online=True)
    for place in (phone, laptop):
        await expect(place.get_by_label("Name")).to_have_value("Ana Lovelace")
        await expect(place.get_by_label("Motto")).to_have_value("Reads at sea")
        await expect(place.get_by_label("Large")).to_be_checked()
        await expect(place.get_by_role("switch", name="Weekly summary")).to_be_checked()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert visit.troubles == []


async def test_a_new_browser_takes_the_profile_that_there_is(visit: Visit) -> None:
    phone, _ = await devices_are_live(await visit.open("/"))
    await write(phone, "Name", "Ana Lovelace")
    await expect(phone.get_by_title("Not sent yet")).to_have_count(0)
    browser = visit.context.browser
    assert browser is not None
    other = await (await browser.new_context()).new_page()
    await other.goto(visit.address)
    for place in await devices_are_live(other):
        await expect(place.get_by_label("Name")).to_have_value("Ana Lovelace")
        await expect(place.get_by_title("Not sent yet")).to_have_count(0)
    await expect(other.get_by_role("dialog")).to_have_count(0)
    assert visit.troubles == []


async def test_a_conflict_about_a_motto_shows_the_motto(visit: Visit) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    await both(phone, laptop, are_online=False)
    await write(phone, "Motto", "Reads at sea")
    await write(laptop, "Motto", "Reads in bed")
    await online(phone).set_checked(True, force=True)
    await expect(phone.get_by_title("Not sent yet")).to_have_count(0)
    await online(laptop).set_checked(True, force=True)
    dialog = page.get_by_role("dialog", name="Laptop: which one stays?")
    for whose, said in (("Mine", "Reads in bed"), ("Theirs", "Reads at sea"), ("Before", "Reads on trains")):
        await expect(dialog.locator(f"dt:text-is('{whose}') + dd")).to_have_text(said)
    await write(dialog, "Own value", "Reads")
    for place in (phone, laptop):
        await expect(place.get_by_label("Motto")).to_have_value("Reads")
        await expect(place.get_by_label("Name")).to_have_value("Ana")
    assert visit.troubles == []


@pytest.mark.parametrize("how", ["Escape", "Decide later"])
async def test_a_conflict_that_is_left_for_later_is_not_lost_from_sight(visit: Visit, how: str) -> None:
    page = await visit.open("/")
    dialog = await asked_about_a_conflict(page)
    laptop = device(page, "Laptop")
    if how == "Escape":
        await page.keyboard.press("Escape")
    else:
        await dialog.get_by_role("button", name=how).click()
    await expect(dialog).to_be_hidden()
    await expect(laptop.get_by_title("Not sent yet")).to_have_count(1)
    await laptop.get_by_role("button", name="Decide").click()
    await dialog.get_by_role("button", name="Keep theirs").click()
    await expect(dialog).to_be_hidden()
    await expect(laptop.get_by_role("button", name="Decide")).to_have_count(0)
    await expect(laptop.get_by_title("Not sent yet")).to_have_count(0)
    assert visit.troubles == []


async def test_a_conflict_can_be_made_time_and_again(visit: Visit) -> None:
    page = await visit.open("/")
    for _ in range(8):
        dialog = await asked_about_a_conflict(page)
        await dialog.get_by_role("button", name="Keep mine").click()
        await expect(dialog).to_be_hidden()
    assert visit.troubles == []


async def test_the_chart_is_live_while_one_looks_at_it(visit: Visit) -> None:
    page = await visit.open("/#underneath")
    await expect(page.get_by_role("img", name="No change has travelled yet.")).to_be_visible()
    await page.get_by_role("button", name="Send 20 edits").click()
    await expect(page.get_by_role("img", name=re.compile(r"^The last \d+: half of them within \d+ ms"))).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="pulse").first).to_be_visible()
    assert visit.troubles == []


async def test_the_timeline_tells_of_a_server_that_went_away_and_of_what_was_resumed(
    visit: Visit, server: RunningServer
) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    await add(phone, "Emma")
    await expect(titles(laptop)).to_have_text(["Emma"])
    server.restart()
    await devices_are_live(page)
    await page.get_by_role("link", name="Underneath").click()
    rows = page.get_by_role("row")
    await expect(rows.filter(has_text="Disconnected").first).to_be_visible()
    await expect(rows.filter(has_text="Resumed").filter(has_text="from version 1").first).to_be_visible()


async def test_who_lost_a_board_gets_it_back_with_another_invitation(visit: Visit) -> None:
    page = await visit.open("/#board")
    ana, ben = await opened_board(page)
    await ana.get_by_role("button", name="Remove Ben from the board").click()
    await expect(ben.get_by_text("not shared with you any more")).to_be_visible()
    await ana.get_by_label("Role of who is invited").select_option("Viewer")
    await ana.get_by_role("button", name="Invite").click()
    await add(ana, "Written meanwhile", to="New card")
    await ben.get_by_role("button", name="Accept invitation").click()
    await expect(ben.get_by_label("Text of Written meanwhile")).to_be_visible()
    await expect(ben.locator(".role")).to_have_text("Viewer")
    await expect(ben.get_by_label("New card")).to_be_disabled()
    assert visit.troubles == []


async def test_a_visitor_in_another_browser_sees_at_once_that_access_has_ended(visit: Visit) -> None:
    page = await visit.open("/#board")
    ana, _ = await opened_board(page)
    link = await ana.get_by_role("link", name=re.compile("#join=")).get_attribute("href")
    browser = visit.context.browser
    assert link is not None
    assert browser is not None
    theirs = await (await browser.new_context()).new_page()
    await theirs.goto(link)
    visitor = theirs.get_by_role("region", name=re.compile("^Guest-.*board$"))
    await expect(status(visitor)).to_have_text("Live")
    await expect(ana.get_by_label("Who is here")).to_contain_text("Guest-")
    await expect(cards(visitor)).to_have_count(1)
    await ana.get_by_role("button", name=re.compile("Remove Guest-")).click()
    await expect(visitor.get_by_text("not shared with you any more")).to_be_visible()
    await expect(cards(visitor)).to_have_count(0)
    await expect(ana.get_by_label("Who is here")).not_to_contain_text("Guest-")
    # The link that led here leads here no longer.
    await theirs.reload()
    await expect(visitor.get_by_role("alert")).to_be_visible()
    await expect(cards(visitor)).to_have_count(0)
    await expect(ana.get_by_role("button", name=re.compile("Remove Guest-"))).to_have_count(0)
    assert visit.troubles == []


async def test_what_was_edited_offline_by_who_only_looks_on_by_now_comes_back_with_the_reason(visit: Visit) -> None:
    page = await visit.open("/#board")
    ana, ben = await opened_board(page)
    await online(ben).set_checked(False, force=True)
    await add(ben, "Written offline", to="New card")
    await expect(ben.get_by_title("Not sent yet")).to_have_count(1)
    await expect(ana.get_by_label("Who is here").get_by_role("listitem")).to_have_count(1)
    await ana.get_by_label("Role of Ben").select_option("Viewer")
    await online(ben).set_checked(True, force=True)
    await expect(ben.get_by_role("alert")).to_contain_text("FORBIDDEN")
    await expect(cards(ana)).to_have_count(1)
    await ana.get_by_label("Role of Ben").select_option("Editor")
    await expect(ben.get_by_label("New card")).to_be_enabled()
    await ben.get_by_role("button", name="Try again").click()
    await expect(ana.get_by_label("Text of Written offline")).to_be_visible()
    await expect(ben.get_by_role("alert")).to_have_count(0)
    assert visit.troubles == []


async def test_a_browser_that_keeps_nothing_for_pages_is_told_so(visit: Visit) -> None:
    await visit.context.add_init_script("IDBFactory.prototype.open = () => { throw new DOMException('no storage'); };")
    page = await visit.open("/")
    await expect(page.get_by_role("alert")).to_contain_text("no storage")
    await expect(page.get_by_role("link", name="Board")).to_be_visible()


async def test_the_chosen_colours_stay(visit: Visit) -> None:
    page = await visit.open("/")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(paper)
    await page.get_by_role("button", name="Dark colours").click()
    dark = await page.evaluate(paper)
    assert dark != light
    await page.reload()
    await expect(page.get_by_role("button", name="Light colours")).to_be_visible()
    assert await page.evaluate(paper) == dark
    assert visit.troubles == []
