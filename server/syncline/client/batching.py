"""Which edits go together, and what is sent of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec

from syncline.client.edits import Edit
from syncline.client.models import EditState
from syncline.core.ids import RecordKey
from syncline.core.json_values import JsonText
from syncline.core.model import ConflictPolicy

_MAX_BATCH_BYTES = 262_144


def free_tail(existing: Sequence[Edit], bundle: str | None) -> list[Edit]:
    """The last of the edits that a new one of the same transaction (or of none) may be folded into."""
    tail: list[Edit] = []
    for edit in reversed(existing):
        if edit.batch is not None or edit.bundle != bundle:
            break
        tail.append(edit)
    return tail[::-1]


def next_unit(edits: Sequence[Edit], max_changes: int) -> list[Edit]:
    """The next edits to send together: those of one transaction, or as many others as fit, one per key.

    An edit waits for all earlier ones of its key, and a transaction for those of all its keys.
    """
    chosen: list[Edit] = []
    taken: set[RecordKey] = set()
    size = 0
    live = (edit for edit in edits if edit.state is not EditState.PARKED)
    for bundle, group in groupby(live, key=lambda edit: edit.bundle):
        for unit in [list(group)] if bundle is not None else [[edit] for edit in group]:
            keys = {edit.key for edit in unit}
            if not keys & taken and all(edit.state is EditState.PENDING for edit in unit):
                if bundle is not None:
                    if not chosen:
                        return unit
                else:
                    size += len(unit[0].argument or "") + len(unit[0].seen.value or "")
                    if chosen and (len(chosen) == max_changes or size > _MAX_BATCH_BYTES):
                        return chosen
                    chosen += unit
            taken |= keys
    return chosen


def changes_text(edits: Sequence[Edit], policy: ConflictPolicy | None) -> JsonText:
    return JsonText(msgspec.json.encode([edit.wire(policy) for edit in edits]).decode())
