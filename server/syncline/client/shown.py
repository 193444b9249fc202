"""Edits and conflicts of the outbox as the app sees them."""

from __future__ import annotations

from syncline.client.edits import Edit, HeldConflict
from syncline.client.models import Author, Conflict, Parked, PendingEdit, State
from syncline.core.json_values import JsonText, parsed


def as_pending(edit: Edit) -> PendingEdit:
    """An edit that the server has not taken."""
    return PendingEdit(
        id=edit.id,
        key=edit.key,
        operation=edit.operation,
        argument=None if edit.argument is None else parsed(edit.argument),
        state=edit.state,
    )


def as_parked(edit: Edit) -> Parked:
    """An edit that the server refused."""
    return Parked(
        id=edit.id,
        key=edit.key,
        operation=edit.operation,
        argument=None if edit.argument is None else parsed(edit.argument),
        code=edit.code or "REJECTED",
        details={} if edit.details is None else parsed(edit.details),
    )


def as_conflict(dataset: str, held: HeldConflict) -> Conflict:
    """An edit that waits for a decision."""
    theirs = None if held.theirs is None else held.theirs.value
    author = None
    if held.theirs is not None and held.theirs.author_identity is not None:
        author = Author(held.theirs.author_identity, held.theirs.author_device)
    return Conflict(
        dataset=dataset,
        edit_id=held.edit.id,
        key=held.edit.key,
        mine=_state(held.edit.applied_to(theirs)),
        theirs=_state(theirs),
        base=_state(held.edit.seen.value),
        author=author,
    )


def _state(value: JsonText | None) -> State:
    return State(deleted=True) if value is None else State(parsed(value))
