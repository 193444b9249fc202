"""The demo as people meet it: in a browser, with the client's own storage, against the server that serves it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.conftest import Visit
from tests.support.server import RunningServer

AXE = Path(__file__).parents[2] / "frontend-demo" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")
VIEWS = ("devices", "board", "underneath")


def device(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def board(page: Page, name: str) -> Locator:
    return device(page, f"{name}’s board")


def status(place: Locator) -> Locator:
    return place.locator("header").get_by_role("status")


def titles(place: Locator) -> Locator:
    return place.locator("li.item .title")


def cards(place: Locator) -> Locator:
    return place.locator("li.item")


def online(place: Locator) -> Locator:
    return place.get_by_role("switch", name="Online")


async def devices_are_live(page: Page) -> tuple[Locator, Locator]:
    phone, laptop = device(page, "Phone"), device(page, "Laptop")
    for place in (phone, laptop):
        await expect(status(place)).to_have_text("Live", timeout=40_000)
        # The phone has made a profile, and the laptop has it.
        await expect(place.get_by_label("Name")).to_be_enabled()
    return phone, laptop


async def add(place: Locator, text: str, *, to: str = "New book") -> None:
    await place.get_by_label(to).fill(text)
    await place.get_by_label(to).press("Enter")


async def rename(place: Locator, name: str) -> None:
    await place.get_by_label("Name").fill(name)
    await place.get_by_label("Name").press("Enter")


async def opened_board(page: Page) -> tuple[Locator, Locator]:
    """Ana's board, and what Ben sees of it once he has accepted her invitation."""
    ana, ben = board(page, "Ana"), board(page, "Ben")
    await expect(status(ana)).to_have_text("Live")
    await ana.get_by_role("button", name="Invite").click()
    await ben.get_by_role("button", name="Accept invitation").click()
    await expect(ben.get_by_label("Text of Welcome to the board")).to_be_visible()
    await expect(status(ben)).to_have_text("Live")
    return ana, ben


# --- two devices -----------------------------------------------------------------------------------------------------


async def test_what_one_device_does_the_other_shows_at_once_and_says_how_fast(visit: Visit) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    await add(phone, "Middlemarch")
    await expect(titles(laptop)).to_have_text(["Middlemarch"])
    await laptop.get_by_role("button", name="Read Middlemarch on").click()
    await expect(phone.get_by_role("button", name=re.compile("Continue Middlemarch"))).to_contain_text("page 10")
    await expect(phone.locator(".latency")).to_have_text(re.compile(r"^\d+ ms$"))
    assert visit.troubles == []


async def test_what_is_done_offline_is_marked_and_arrives_later(visit: Visit) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    await online(phone).uncheck(force=True)
    await expect(status(phone)).to_have_text("Offline")
    await add(phone, "Written on a train")
    await add(laptop, "Written at home")
    await expect(phone.get_by_title("Not sent yet")).to_have_count(1)
    await expect(titles(laptop)).to_have_text(["Written at home"])
    await online(phone).check(force=True)
    for place in (phone, laptop):
        await expect(titles(place)).to_have_text(["Written at home", "Written on a train"])
    await expect(phone.get_by_title("Not sent yet")).to_have_count(0)
    assert visit.troubles == []


@pytest.mark.parametrize(
    ("choice", "kept"), [("Keep mine", "On the laptop"), ("Keep theirs", "On the phone"), (None, "Something else")]
)
async def test_a_conflict_is_asked_about(visit: Visit, choice: str | None, kept: str) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    for place in (phone, laptop):
        await online(place).uncheck(force=True)
    await rename(phone, "On the phone")
    await rename(laptop, "On the laptop")
    await online(phone).check(force=True)
    await expect(phone.get_by_title("Not sent yet")).to_have_count(0)
    await online(laptop).check(force=True)
    dialog = page.get_by_role("dialog", name="Laptop: which one stays?")
    await expect(dialog).to_contain_text("On the phone")
    await expect(dialog).to_contain_text("On the laptop")
    if choice is None:
        await dialog.get_by_label("Own value").fill(kept)
        await dialog.get_by_role("button", name="Use this").click()
    else:
        await dialog.get_by_role("button", name=choice).click()
    await expect(dialog).to_be_hidden()
    for place in (phone, laptop):
        await expect(place.get_by_label("Name")).to_have_value(kept)
    assert visit.troubles == []


async def test_a_conflict_can_be_made_on_purpose(visit: Visit) -> None:
    page = await visit.open("/")
    await devices_are_live(page)
    await page.get_by_role("button", name="Make a conflict").click()
    await page.get_by_role("dialog").get_by_role("button", name="Keep theirs").click()
    phone, laptop = await devices_are_live(page)
    name = await phone.get_by_label("Name").input_value()
    await expect(laptop.get_by_label("Name")).to_have_value(name)
    assert visit.troubles == []


async def test_a_reload_while_offline_keeps_the_edits(visit: Visit, server: RunningServer) -> None:
    page = await visit.open("/")
    phone, _ = await devices_are_live(page)
    await online(phone).uncheck(force=True)
    await add(phone, "Kept over a reload")
    await rename(phone, "Ana the Offline")
    # What another tab shows is on disk.
    another = await visit.open("/")
    await expect(device(another, "Phone").get_by_label("Name")).to_have_value("Ana the Offline")
    await another.close()
    # The page itself comes from the server; what is in it is this browser's. Without a token it stays offline.
    await page.route("**/demo/token", lambda route: route.abort())
    await page.reload()
    await expect(titles(phone)).to_have_text(["Kept over a reload"])
    await expect(phone.get_by_label("Name")).to_have_value("Ana the Offline")
    await page.unroute("**/demo/token")
    await page.reload()
    await expect(titles(device(page, "Laptop"))).to_have_text(["Kept over a reload"])
    await expect(device(page, "Laptop").get_by_label("Name")).to_have_value("Ana the Offline")


async def test_tabs_are_one_device_online_and_offline(visit: Visit) -> None:
    here = await visit.open("/")
    await devices_are_live(here)
    there = await visit.open("/")
    await devices_are_live(there)
    await add(device(here, "Phone"), "Online")
    await expect(titles(device(there, "Phone"))).to_have_text(["Online"])
    await expect(device(here, "Phone").get_by_title("Not sent yet")).to_have_count(0)
    await online(device(here, "Phone")).uncheck(force=True)
    await expect(status(device(there, "Phone"))).to_have_text("Offline")
    await expect(online(device(there, "Phone"))).not_to_be_checked()
    await add(device(there, "Phone"), "Offline")
    await expect(titles(device(here, "Phone"))).to_have_text(["Offline", "Online"])
    await expect(titles(device(here, "Laptop"))).to_have_text(["Online"])
    # The tab that has the connection goes; the other one takes over.
    await here.close()
    await online(device(there, "Phone")).check(force=True)
    await expect(titles(device(there, "Laptop"))).to_have_text(["Offline", "Online"])
    assert visit.troubles == []


async def test_tabs_of_one_device_have_one_connection(visit: Visit) -> None:
    sockets: list[str] = []
    visit.context.on("page", lambda page: page.on("websocket", lambda socket: sockets.append(socket.url)))
    for _ in range(3):
        await devices_are_live(await visit.open("/"))
    assert len(sockets) == len(("Phone", "Laptop"))


async def test_the_demo_goes_on_after_the_server_was_killed(visit: Visit, server: RunningServer) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    server.kill()
    await add(phone, "Written while it was away")
    server.start()
    await expect(titles(laptop)).to_have_text(["Written while it was away"], timeout=60_000)


# --- the shared board -------------------------------------------------------------------------------------------------


async def test_a_board_is_shared_and_taken_away_again(visit: Visit) -> None:
    page = await visit.open("/#board")
    ana, ben = await opened_board(page)
    await add(ben, "Bring a tent", to="New card")
    await expect(ana.get_by_label("Text of Bring a tent")).to_have_value("Bring a tent")

    # Who is here, and at what.
    await expect(ana.get_by_label("Who is here").get_by_role("listitem")).to_have_count(2)
    await ben.get_by_label("Text of Bring a tent").press("End")
    await ben.get_by_label("Text of Bring a tent").press_sequentially("!")
    await expect(ana.get_by_label("Who is here")).to_contain_text("Ben is editing “Bring a tent”")
    await ben.get_by_label("Text of Bring a tent").press("Enter")
    await expect(ana.get_by_label("Text of Bring a tent!")).to_have_value("Bring a tent!")

    # A viewer only looks on, and sees at once that this is so.
    await expect(ben.locator(".role")).to_have_text("Editor")
    await ana.get_by_label("Role of Ben").select_option("Viewer")
    await expect(ben.locator(".role")).to_have_text("Viewer")
    await expect(ben.get_by_label("New card")).to_be_disabled()
    await ana.get_by_label("Role of Ben").select_option("Editor")
    await expect(ben.get_by_label("New card")).to_be_enabled()

    await ana.get_by_role("button", name="Remove Ben from the board").click()
    await expect(ben.get_by_text("not shared with you any more")).to_be_visible()
    await add(ana, "Not for Ben", to="New card")
    await expect(cards(ana)).to_have_count(3)
    await expect(cards(ben)).to_have_count(0)
    await expect(ana.get_by_label("Who is here").get_by_role("listitem")).to_have_count(1)
    assert visit.troubles == []


async def test_who_comes_by_an_invitation_link_is_somebody_else(visit: Visit) -> None:
    page = await visit.open("/#board")
    ana, _ = await opened_board(page)
    link = await ana.get_by_role("link", name=re.compile("#join=")).get_attribute("href")
    assert link is not None
    browser = visit.context.browser
    assert browser is not None
    other: BrowserContext = await browser.new_context()
    there = await other.new_page()
    await there.goto(link)
    await expect(there.get_by_label("Text of Welcome to the board")).to_be_visible()
    await add(there.locator("section.device"), "From another browser", to="New card")
    await expect(ana.get_by_label("Text of From another browser")).to_be_visible()
    await other.close()
    assert visit.troubles == []


# --- what happens underneath ------------------------------------------------------------------------------------------


async def test_the_timeline_tells_of_syncs_commits_and_conflicts(visit: Visit) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    await add(phone, "Middlemarch")
    await expect(titles(laptop)).to_have_text(["Middlemarch"])
    await page.get_by_role("button", name="Make a conflict").click()
    await page.get_by_role("dialog").get_by_role("button", name="Keep mine").click()
    await page.get_by_role("link", name="Underneath").click()
    rows = page.locator("table.timeline tbody tr")
    for what in ("Push", "Acknowledged", "Commit", "Resumed", "Conflict", "Disconnected", "Connected"):
        await expect(rows.filter(has=page.get_by_role("cell", name=what, exact=True)).first).to_be_visible()
    await expect(rows.filter(has_text="Commit").filter(has_text="reading").first).to_contain_text("v1")
    await expect(page.get_by_role("img", name=re.compile(r"within \d+ ms"))).to_be_visible()
    await expect(page.locator("svg.chart rect").first).to_be_visible()
    assert visit.troubles == []


# --- for everybody ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_stands_in_the_way_of_anybody(
    visit: Visit, scheme: Literal["light", "dark"], tmp_path: Path
) -> None:
    page = await visit.open("/")
    await page.emulate_media(color_scheme=scheme)
    await page.reload()
    phone, _ = await devices_are_live(page)
    await phone.get_by_role("button", name="Add three books").click()
    await page.get_by_role("button", name="Make a conflict").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await no_serious_findings(page, tmp_path / f"conflict-{scheme}.png")
    await page.get_by_role("dialog").get_by_role("button", name="Keep mine").click()
    for view in VIEWS:
        await page.goto(f"{visit.address}/#{view}")
        if view == "board":
            ana, _ = await opened_board(page)
            link = await ana.get_by_role("link", name=re.compile("#join=")).get_attribute("href")
        await no_serious_findings(page, tmp_path / f"{view}-{scheme}.png")
    await page.goto(str(link))
    await expect(page.get_by_label("Text of Welcome to the board")).to_be_visible()
    await no_serious_findings(page, tmp_path / f"visitor-{scheme}.png")
    assert visit.troubles == []


async def no_serious_findings(page: Page, picture: Path) -> None:
    # Motion is over, and with it the colours in between.
    await page.wait_for_timeout(800)
    await page.screenshot(path=picture, full_page=True)
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run()")
    findings = [
        (one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"] if one["impact"] in SERIOUS
    ]
    assert findings == []
    assert len(found["passes"]) > 10


async def test_a_phone_shows_all_of_it_without_scrolling_sideways(visit: Visit, tmp_path: Path) -> None:
    page = await visit.open("/")
    await page.set_viewport_size({"width": 360, "height": 740})
    phone, _ = await devices_are_live(page)
    await phone.get_by_role("button", name="Add three books").click()
    for view in VIEWS:
        await page.goto(f"{visit.address}/#{view}")
        if view == "board":
            await opened_board(page)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, view
        await page.screenshot(path=tmp_path / f"phone-{view}.png", full_page=True)


async def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = await visit.open("/")
    phone, laptop = await devices_are_live(page)
    await phone.get_by_label("New book").focus()
    await page.keyboard.type("By keyboard")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(titles(laptop)).to_have_text(["By keyboard"])
    await online(phone).focus()
    await page.keyboard.press("Space")
    await expect(status(phone)).to_have_text("Offline")


async def test_graphiql_is_one_click_away_with_the_same_identity(visit: Visit) -> None:
    page = await visit.open("/")
    phone, _ = await devices_are_live(page)
    await add(phone, "Middlemarch")
    await expect(phone.get_by_title("Not sent yet")).to_have_count(0)
    await page.get_by_role("link", name="GraphiQL").click()
    await expect(page.locator(".graphiql-query-editor")).to_contain_text("identityId")
    await page.get_by_role("button", name="Execute query").click()
    await expect(page.locator(".graphiql-response")).to_contain_text('"identityId": "ana"')


async def test_without_a_server_in_dev_mode_the_demo_says_what_it_needs(visit: Visit) -> None:
    page = await visit.context.new_page()
    await page.route("**/demo/token", lambda route: route.fulfill(status=404))
    await page.goto(visit.address)
    await expect(page.get_by_role("alert")).to_contain_text("syncline serve --dev")
