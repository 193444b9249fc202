"""Rules 5 and 8 of the contract: from a checkpoint on, exactly what is missing is answered, or ResyncRequired."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from syncline.core.checkpoint import START, Checkpoint, ResyncReason, Since, parse_since
from syncline.core.ids import DatasetId, Epoch, RecordKey, Version
from syncline.core.model import BEGINNING, DatasetRef, Position, Record
from syncline.core.pages import EVERYTHING, Page, PageRequest, RecordFilter
from syncline.errors import InvalidCheckpoint
from tests.property import strategies as own
from tests.support.core_builders import DATASET, EPOCH, NAME, checkpoint
from tests.support.memory_log import MemoryLog


def pages_from(log: MemoryLog, start: Position, request: PageRequest) -> list[Page]:
    """Every page until there is no more."""
    head = log.heads[DATASET]
    pages = [log.page(head, start, request)]
    while pages[-1].has_more:
        assert pages[-1].position > (pages[-2].position if len(pages) > 1 else start), "no progress"
        pages.append(log.page(head, pages[-1].position, request))
    return pages


def missing(log: MemoryLog, start: Position, record_filter: RecordFilter) -> list[Record]:
    """The naive difference: the last state of every record that any commit behind ``start`` wrote."""
    last: dict[RecordKey, tuple[tuple[int, int], Record]] = {}
    for commit in log.commits:
        for place, record in enumerate(commit.records):
            last[record.key] = ((commit.version, place), record)
    behind = [(place, record) for place, record in last.values() if place >= (start.version + 1, start.offset)]
    return [record for _, record in sorted(behind, key=lambda item: item[0]) if record_filter.lets_through(record)]


@given(log=own.busy_histories, request=own.page_requests, data=st.data())
def test_chained_pages_from_any_position_give_exactly_what_is_missing(
    log: MemoryLog, request: PageRequest, data: st.DataObject
) -> None:
    start = data.draw(own.positions(log))
    pages = pages_from(log, start, request)
    assert [record for page in pages for record in page.records] == missing(log, start, request.filter)
    assert pages[-1].position == Position(log.heads[DATASET].version)


@given(log=own.busy_histories, request=own.page_requests, data=st.data())
def test_a_page_is_full_unless_it_is_the_last_one(log: MemoryLog, request: PageRequest, data: st.DataObject) -> None:
    start = data.draw(own.positions(log))
    pages = pages_from(log, start, request)

    def room(record: Record) -> int:
        return len(record.key.encode()) + len((record.value or "").encode())

    for page, following in itertools.pairwise(pages):
        assert following.records
        size = sum(room(record) for record in page.records)
        next_is_too_big = request.max_bytes is not None and size + room(following.records[0]) > request.max_bytes
        assert len(page.records) == request.first or next_is_too_big
    for page in pages:
        assert len(page.records) <= request.first
        if request.max_bytes is not None and len(page.records) > 1:
            assert sum(room(record) for record in page.records) <= request.max_bytes


@given(log=own.busy_histories, request=own.page_requests, data=st.data())
def test_a_pages_checkpoint_covers_exactly_what_the_page_scanned(
    log: MemoryLog, request: PageRequest, data: st.DataObject
) -> None:
    """Never ahead: what it covers was handed out or filtered. Never behind: what it does not cover is wanted."""
    start = data.draw(own.positions(log))
    page = log.page(log.heads[DATASET], start, request)
    assert [*page.records, *missing(log, page.position, request.filter)] == missing(log, start, request.filter)
    assert page.position >= start
    rest = missing(log, page.position, EVERYTHING)
    assert page.has_more == bool(rest)
    assert not rest or request.filter.lets_through(rest[0])


@given(log=own.busy_histories, more=st.lists(own.forced, max_size=3), request=own.page_requests, data=st.data())
def test_a_device_that_pages_while_others_write_ends_up_equal(
    log: MemoryLog, more: list[own.Step], request: PageRequest, data: st.DataObject
) -> None:
    request = PageRequest(first=request.first, max_bytes=request.max_bytes)
    replica: dict[RecordKey, Record] = {}
    position, has_more = BEGINNING, True
    writes = list(more)
    while has_more:
        page = log.page(log.heads[DATASET], position, request)
        replica.update({record.key: record for record in page.records})
        position, has_more = page.position, page.has_more
        someone_writes: bool = data.draw(st.booleans())
        if writes and someone_writes:
            own.run(log, writes.pop(), f"while paging {len(writes)}")
            has_more = True
    assert replica == log.records[DATASET]


@given(log=own.busy_histories, more=st.lists(own.forced, max_size=4), request=own.page_requests, data=st.data())
def test_a_device_that_begins_with_nothing_gets_to_the_end_although_tombstones_are_pruned_meanwhile(
    log: MemoryLog, more: list[own.Step], request: PageRequest, data: st.DataObject
) -> None:
    """It is not told to resync over removals from before it began; and what comes back to life is nothing."""
    request = PageRequest(first=request.first, max_bytes=request.max_bytes)
    replica: dict[RecordKey, Record] = {}
    since: Since = START
    begun = log.heads[DATASET].version
    has_more = True
    while has_more:
        head = log.heads[DATASET]
        pruned_through = data.draw(st.integers(head.pruned_through, head.version))
        log.prune(DATASET, pruned_through)
        read = log.read(DatasetRef(name=NAME), since, request)
        if read.reason is not None:
            assert pruned_through > begun
            return
        assert read.page is not None
        replica.update({record.key: record for record in read.page.records})
        since, has_more = parse_since(str(Checkpoint(EPOCH, DATASET, read.page.position))), read.page.has_more
        if more:
            own.run(log, more.pop(), f"while paging {len(more)}")
            has_more = True
    assert {name: r for name, r in replica.items() if not r.deleted} == {
        name: r for name, r in log.records[DATASET].items() if not r.deleted
    }


# --- checkpoints ------------------------------------------------------------------------------------------------------

versions = st.integers(0, 2**48 - 1).map(Version)
checkpoints = st.builds(
    Checkpoint,
    epoch=st.binary(min_size=8, max_size=8).map(lambda b: Epoch(b.hex())),
    dataset=st.binary(min_size=16, max_size=16).map(lambda b: DatasetId(b.hex())),
    position=st.builds(Position, versions, st.integers(0, 2**32 - 1), versions),
)


@given(checkpoint=checkpoints)
def test_a_checkpoint_survives_its_text_and_has_at_most_64_characters(checkpoint: Checkpoint) -> None:
    since = parse_since(str(checkpoint))
    assert isinstance(since, Checkpoint)
    assert since == checkpoint
    assert since.position.begun == checkpoint.position.begun
    assert len(str(checkpoint)) <= 64


@given(checkpoint=checkpoints, data=st.data())
def test_a_checkpoint_damaged_in_one_character_is_refused(checkpoint: Checkpoint, data: st.DataObject) -> None:
    text = str(checkpoint)
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(max_codepoint=0x24F).filter(lambda character: character != text[place]))
    try:
        parse_since(text[:place] + character + text[place + 1 :])
    except InvalidCheckpoint:
        return
    raise AssertionError("a damaged checkpoint was taken for a good one")


@given(text=st.text(max_size=80))
def test_a_text_that_no_server_issued_is_refused_and_never_breaks_anything(text: str) -> None:
    try:
        since = parse_since(text)
    except InvalidCheckpoint:
        return
    assert text == START or str(since) == text


@given(log=own.busy_histories, data=st.data())
def test_from_where_the_log_does_not_lead_on_a_device_is_told_to_resync(log: MemoryLog, data: st.DataObject) -> None:
    """Never a partial answer that looks whole: a reason is given exactly if the log lacks something from there on."""
    head = log.heads[DATASET]
    pruned = data.draw(st.integers(0, head.version))
    log.prune(DATASET, pruned)
    version, offset = data.draw(st.integers(0, head.version + 2)), data.draw(st.integers(0, 2))
    epoch = data.draw(st.sampled_from((EPOCH, Epoch("ab" * 8))))
    dataset = data.draw(st.sampled_from((DATASET, DatasetId("cd" * 16))))
    since = checkpoint(version, offset, epoch=epoch, dataset=dataset)
    reason = log.read(DatasetRef(name=NAME), since, PageRequest()).reason
    if epoch != EPOCH:
        assert reason is ResyncReason.EPOCH_CHANGED
    elif dataset != DATASET:
        assert reason is ResyncReason.DATASET_RECREATED
    elif (version, offset) > (head.version, 0):
        assert reason is ResyncReason.CHECKPOINT_FROM_FUTURE
    elif 0 < version < pruned or (version == 0 < pruned and offset > 0):
        assert reason is ResyncReason.CHECKPOINT_TOO_OLD
    else:
        assert reason is None
