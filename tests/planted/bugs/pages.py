"""Pages: what a device is sent of a log, and what it is told that it has then."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

BUGS = (
    PlantedBug(
        name="short page",
        sentence="A page that is not the last one holds less than was asked for.",
        file="core/pages.py",
        old="full = len(records) >= request.first",
        new="full = len(records) >= max(1, request.first - 1)",
        selection=noticed_by("property/test_core_pages", "test_a_page_is_full_unless_it_is_the_last_one"),
    ),
    PlantedBug(
        name="checkpoint ahead of its page",
        sentence="A page's checkpoint covers the record after it, which the device then never gets.",
        file="core/pages.py",
        old="return Position(Version(record.version - 1), record.ordinal)",
        new="return Position(Version(record.version - 1), record.ordinal + 1)",
        selection=noticed_by(
            "property/test_core_pages", "test_chained_pages_from_any_position_give_exactly_what_is_missing"
        ),
        quick=True,
    ),
    PlantedBug(
        name="checkpoint of a page that ends inside a commit covers the whole commit",
        sentence="The rest of a large commit is skipped.",
        file="core/pages.py",
        old="return Position(Version(record.version - 1), record.ordinal)",
        new="return Position(Version(record.version - (record.ordinal == 0)))",
        selection=noticed_by(
            "property/test_core_pages", "test_chained_pages_from_any_position_give_exactly_what_is_missing"
        ),
    ),
    PlantedBug(
        name="a page takes the last record over its bytes",
        sentence="A page may be larger than the event that it has to fit into.",
        file="core/pages.py",
        old="full = full or size + page_bytes(record) > request.max_bytes",
        new="full = full or size > request.max_bytes",
        selection=noticed_by("property/test_core_pages", "test_a_page_is_full_unless_it_is_the_last_one"),
    ),
    PlantedBug(
        name="the last page claims nothing",
        sentence="A device that has everything is sent the last page again, for ever.",
        file="core/pages.py",
        old="position=Position(head_version), has_more=False)",
        new="position=start, has_more=False)",
        selection=noticed_by(
            "property/test_core_pages", "test_chained_pages_from_any_position_give_exactly_what_is_missing"
        ),
    ),
    PlantedBug(
        name="tombstones left out of pages",
        sentence="Who was away never hears of a removal.",
        file="core/pages.py",
        old="if not request.filter.lets_through(record):",
        new="if record.deleted or not request.filter.lets_through(record):",
        selection=noticed_by(
            "property/test_core_pages", "test_chained_pages_from_any_position_give_exactly_what_is_missing"
        ),
    ),
    PlantedBug(
        name="skip_author skips the other devices of the identity too",
        sentence="With skipOwn a device does not get what its identity's other devices wrote.",
        file="core/pages.py",
        old="record.updated_by != self.skip_author",
        new="record.updated_by.identity != self.skip_author.identity",
        selection=noticed_by("unit/core/test_pages", "test_skip_author_leaves_out_that_author_only"),
    ),
    PlantedBug(
        name="records of one commit share a place",
        sentence="A page that ends between them loses the second.",
        file="core/commit.py",
        old="ordinal=len(self._written) if written is None else written.ordinal,",
        new="ordinal=0,",
        selection=noticed_by(
            "property/test_core_pages", "test_chained_pages_from_any_position_give_exactly_what_is_missing"
        ),
    ),
    PlantedBug(
        name="stale pull",
        sentence="A sync's page begins where the dataset stands, not where the device stands.",
        file="storage/sqlite_sync.py",
        old="return lookups.page(stored, page, start=position_of(request.since))",
        new="return lookups.page(stored, page, start=type(position_of(None))(stored.head.version))",
        selection=noticed_by("contract/test_store_sync", "test_the_page_holds_what_others_wrote_and_the_own_changes"),
    ),
)
