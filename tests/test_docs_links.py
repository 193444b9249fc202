"""Every link of the documents leads somewhere, and every page can be reached from the README."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.documents import PAGES, ROOT, anchors, links, page_name, prose

README = ROOT / "README.md"
RUNNING = "http://127.0.0.1:8000/"
"""Where the reader's own server is."""
_EXTERNAL = re.compile(r"https://[\w.-]+\.\w+(/\S*)?")
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_SIGNATURES = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<svg "}


def _relative(page: Path) -> list[str]:
    return [link for link in links(page) if "://" not in link]


def _target(page: Path, link: str) -> Path:
    path = unquote(link.partition("#")[0])
    return (page.parent / path).resolve() if path else page


def _fault(page: Path, link: str) -> str | None:
    """What is wrong with a relative link."""
    target, anchor = _target(page, link), link.partition("#")[2]
    if link.startswith("/") or not target.is_relative_to(ROOT):
        return "leads out of the repository"
    if not target.exists():
        return "leads nowhere"
    if anchor and (target.suffix != ".md" or anchor not in anchors(target)):
        return "has no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    faults = {link: fault for link in _relative(page) if (fault := _fault(page, link)) is not None}
    assert faults == {}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_other_links_are_secure_addresses_or_of_the_readers_own_server(page: Path) -> None:
    others = [link for link in links(page) if "://" in link]
    assert [link for link in others if not (_EXTERNAL.fullmatch(link) or link.startswith(RUNNING))] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, ahead = {README}, [README]
    while ahead:
        page = ahead.pop()
        found = {_target(page, link) for link in _relative(page)}
        ahead += [target for target in found - reached if target.suffix == ".md" and target.exists()]
        reached |= found
    assert [page_name(page) for page in PAGES if page not in reached] == []


def test_every_image_is_one_is_described_and_is_shown_somewhere() -> None:
    shown: set[Path] = set()
    for page in PAGES:
        for description, link in _IMAGE.findall(prose(page)):
            image = _target(page, link)
            assert description, f"{page_name(page)}: {link} has no description"
            assert image.read_bytes().startswith(_SIGNATURES[image.suffix]), link
            shown.add(image)
    assert shown == set((ROOT / "docs" / "images").iterdir())


def test_no_page_is_empty() -> None:
    assert [page_name(page) for page in PAGES if len(prose(page).split()) < 50] == []


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("docs/quickstart.md", None),
        ("docs/quickstart.md#what-next", None),
        ("docs/quickstart.md#what-before", "has no such heading"),
        ("docs/slowstart.md", "leads nowhere"),
        ("../elsewhere.md", "leads out of the repository"),
        ("/etc/hosts", "leads out of the repository"),
        ("LICENSE#grant", "has no such heading"),
    ],
)
def test_a_link_is_judged_by_where_it_leads(link: str, fault: str | None) -> None:
    assert _fault(README, link) == fault
