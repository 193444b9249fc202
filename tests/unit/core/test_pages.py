"""Pages: how much one holds, and what it covers."""

from __future__ import annotations

from collections.abc import Iterator

from syncline.core.ids import Version
from syncline.core.model import BEGINNING, Position, Record
from syncline.core.pages import Page, PageRequest, RecordFilter, author_of, before, page_of
from tests.support.core_builders import at, author, js, record

LOG = [
    record("a", js("1"), version=1, ordinal=0, by="phone"),
    record("b", None, version=1, ordinal=3, by="phone"),
    record("ab", js("333"), version=2, ordinal=0, by="tablet"),
    record("c", js("1"), version=4, ordinal=1, by="phone"),
]


def page(request: PageRequest, start: Position = BEGINNING, log: list[Record] = LOG, head: int = 5) -> Page:
    return page_of((r for r in log if not start.covers(r)), request, start=start, head_version=Version(head))


def keys(page: Page) -> list[str]:
    return [record.key for record in page.records]


def test_the_last_page_covers_all_up_to_the_head() -> None:
    assert page(PageRequest(first=4)) == Page(records=tuple(LOG), position=at(5), has_more=False)


def test_a_page_holds_tombstones_too() -> None:
    assert keys(page(PageRequest(first=2))) == ["a", "b"]


def test_a_full_page_ends_where_the_next_record_begins_even_inside_a_commit() -> None:
    first = page(PageRequest(first=1))
    assert (keys(first), first.position, first.has_more) == (["a"], at(0, 3), True)
    second = page(PageRequest(first=1), first.position)
    assert (keys(second), second.position) == (["b"], at(1))
    third = page(PageRequest(first=1), second.position)
    assert (keys(third), third.position) == (["ab"], at(3, 1))
    assert page(PageRequest(first=1), third.position) == Page(records=(LOG[3],), position=at(5), has_more=False)


def test_a_page_keeps_to_its_bytes_but_holds_at_least_one_record() -> None:
    assert keys(page(PageRequest(max_bytes=5))) == ["a", "b"]
    assert keys(page(PageRequest(max_bytes=4))) == ["a"]
    assert keys(page(PageRequest(max_bytes=1))) == ["a"]


def test_tombstones_count_against_a_pages_bytes() -> None:
    """Symptom: a page of removed records with long keys was greater than 256 KiB."""
    gone = [record("k" * 1_000 + str(number), None, version=number + 1) for number in range(300)]
    held = page(PageRequest(max_bytes=262_144), log=gone, head=300).records
    assert sum(len(r.key) for r in held) <= 262_144 < sum(len(r.key) for r in gone[: len(held) + 1])


def test_a_filter_by_prefix_and_author_leaves_out_and_the_page_covers_what_it_left_out() -> None:
    assert keys(page(PageRequest(filter=RecordFilter(prefix="a")))) == ["a", "ab"]
    others = page(PageRequest(first=1, filter=RecordFilter(skip_author=author("phone"))))
    assert (keys(others), others.position, others.has_more) == (["ab"], at(5), False)
    nothing = page(PageRequest(filter=RecordFilter(prefix="none")))
    assert nothing == Page(records=(), position=at(5), has_more=False)


def test_what_a_filter_left_out_is_not_scanned_again() -> None:
    """Symptom: a page ended behind its last record, and the next one began with all that did not match."""
    log = [record(f"x{n}" if n in (1, 9) else f"y{n}", js(n), version=n) for n in range(1, 10)]
    first = page(PageRequest(first=1, filter=RecordFilter(prefix="x")), log=log, head=9)
    assert (keys(first), first.position) == (["x1"], at(8))


def test_skip_author_leaves_out_that_author_only() -> None:
    skip = RecordFilter(skip_author=author("phone"))
    assert not skip.lets_through(record(by="phone"))
    assert skip.lets_through(record(by="tablet"))
    assert skip.lets_through(record(by=None))


def test_the_log_is_read_no_further_than_needed() -> None:
    read = []

    def scanned() -> Iterator[Record]:
        for item in LOG:
            read.append(item.key)
            yield item

    page_of(scanned(), PageRequest(first=1), start=BEGINNING, head_version=Version(5))
    assert read == ["a", "b"]


def test_who_begins_with_nothing_is_remembered_to_have_until_it_has_read_all() -> None:
    first = page(PageRequest(first=1))
    assert first.position.begun == 5
    assert page(PageRequest(first=1), first.position, head=6).position.begun == 5
    assert page(PageRequest(first=1), at(1)).position.begun == 0


def test_the_position_before_a_record_covers_all_but_it() -> None:
    assert not before(LOG[3]).covers(LOG[3])
    assert before(LOG[3]).covers(LOG[2])


def test_records_have_an_author_in_common_or_none() -> None:
    assert author_of(LOG[:2]) == author("phone")
    assert author_of(LOG) is None
    assert author_of([]) is None
