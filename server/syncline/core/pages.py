"""Pages of a dataset's log: what was asked for, and what one covers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from syncline.core.checkpoint import ResyncReason
from syncline.core.ids import Epoch, Version
from syncline.core.model import BEGINNING, Author, DatasetHead, Position, Record, Role

MAX_PAGE_RECORDS = 500
MAX_FEED_PAGE_BYTES = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which records a reader wants: keys that begin with ``prefix``, and not what ``skip_author`` wrote."""

    prefix: str = ""
    skip_author: Author | None = None

    def lets_through(self, record: Record) -> bool:
        return record.key.startswith(self.prefix) and (
            self.skip_author is None or record.updated_by != self.skip_author
        )


EVERYTHING = RecordFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """``first`` records at most, and, with ``max_bytes``, no more than fit into that (but at least one)."""

    first: int = MAX_PAGE_RECORDS
    max_bytes: int | None = None
    filter: RecordFilter = EVERYTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Records in the order of the log. ``position`` covers exactly what was scanned for them."""

    records: tuple[Record, ...]
    position: Position
    has_more: bool


def page_of(scanned: Iterable[Record], request: PageRequest, *, start: Position, head_version: Version) -> Page:
    """The page that begins at ``start``.

    ``scanned`` yields the records that ``start`` does not cover, in log order; it is read no further than needed. A
    page is full unless it is the last one, and its position never runs ahead of what was scanned.
    """
    begun = head_version if start == BEGINNING else start.begun
    records: list[Record] = []
    size = 0
    for record in scanned:
        if not request.filter.lets_through(record):
            continue
        full = len(records) >= request.first
        if request.max_bytes is not None and records:
            full = full or size + page_bytes(record) > request.max_bytes
        if full:
            return Page(records=tuple(records), position=replace(before(record), begun=begun), has_more=True)
        records.append(record)
        size += page_bytes(record)
    return Page(records=tuple(records), position=Position(head_version), has_more=False)


def before(record: Record) -> Position:
    """The position up to ``record``, without it: all that was scanned before it, let through or not."""
    return Position(Version(record.version - 1), record.ordinal)


def page_bytes(record: Record) -> int:
    """What a record takes up of a page; unlike in its dataset's size, a tombstone's key counts."""
    return len(record.key.encode()) + (0 if record.value is None else len(record.value.encode()))


def author_of(records: Sequence[Record]) -> Author | None:
    """Who wrote all of the records; None if there are none, or several wrote them."""
    authors = {record.updated_by for record in records}
    return authors.pop() if len(authors) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead:
    """One consistent look at a dataset's log.

    ``head`` None: there is no such dataset; one with ``deleted_at``: it is gone. With ``reason``, the log does not lead
    on from where the reader stands; ``page`` then begins at the beginning, as it does for a reader that holds nothing.
    """

    epoch: Epoch
    head: DatasetHead | None
    reason: ResyncReason | None
    start: Position
    page: Page | None
    role: Role | None = None
    """The reader's; None: there is no such dataset, or it is the node itself that reads."""

    @property
    def live_head(self) -> DatasetHead | None:
        return None if self.head is None or self.head.deleted_at is not None else self.head
