"""How two sides are compared, and how the place is kept where a copy goes on."""

from __future__ import annotations

import pytest

from syncline.storage.copied_tables import TABLES, CopiedTable, Summing, joint_checksum
from syncline.storage.postgres_target import Progress

ROWS: list[tuple[object, ...]] = [
    (b"\x00", "ä", None, 1),
    (b"\x00", "😀", "x", -(2**63)),
    (b"\xff", "", "y", 2**63 - 1),
]


def summed(*pieces: list[tuple[object, ...]]) -> Summing:
    summing = Summing()
    for piece in pieces:
        summing.add(piece)
    return summing


def test_a_sum_does_not_depend_on_the_pieces() -> None:
    assert summed(ROWS).sum() == summed(ROWS[:1], [], ROWS[1:]).sum()
    assert summed(ROWS).sum().rows == 3


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(ROWS[:2], id="one less"),
        pytest.param([*ROWS, ROWS[2]], id="one twice"),
        pytest.param([ROWS[1], ROWS[0], ROWS[2]], id="another order"),
        pytest.param([(b"\x00", "ä", "", 1), *ROWS[1:]], id="empty for none"),
        pytest.param([("\x00", "ä", None, 1), *ROWS[1:]], id="text for bytes"),
        pytest.param([(b"\x00", "ä", None, "1"), *ROWS[1:]], id="text for a number"),
    ],
)
def test_a_sum_is_of_every_column_of_every_row_in_its_order(other: list[tuple[object, ...]]) -> None:
    assert summed(ROWS).sum().checksum != summed(other).sum().checksum


def test_a_joint_checksum_depends_on_each() -> None:
    one, other = summed(ROWS).sum(), summed(ROWS[1:]).sum()

    assert len({joint_checksum([one, other]), joint_checksum([other, one]), joint_checksum([one, one])}) == 3


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_progress_is_kept_as_it_is(table: CopiedTable) -> None:
    after = (bytes(range(16)), "😀\n\u2028")[: table.key_columns] if table.by_id else ("ä", "", "m-1")
    progress = Progress(source="0" * 32, table=table, after=after, rows=7)

    assert Progress.of(progress.text()) == progress
    assert Progress.of(progress.text()).table is table
