"""A SQLite database to copy from: whatever is written to it, a copy that was cut short must not go on from there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from syncline.core.model import ConflictPolicy, Role
from syncline.core.sharing import AcceptInvitation, ChangeRole, Invite, Leave, RemoveMember, RevokeInvitation, Share
from syncline.storage.sqlite import SqliteStore
from syncline.storage.sqlite_source import open_source
from tests.support.builders import ALICE, BOB, NOW, by_id, named, put
from tests.support.logins import an_api_key
from tests.support.sharing import an_invitation, code_hash, share
from tests.support.stores import create, write


async def test_every_write_makes_another_state_of_the_source(tmp_path: Path) -> None:
    path = tmp_path / "syncline.db"
    store = await SqliteStore.open(path)
    head = await create(store)
    await store.close()
    one, other = an_invitation("one", uses=2), an_invitation("other")
    key = an_api_key("a key")
    accept = AcceptInvitation(code_hash=code_hash("one"))
    writes: list[Callable[[SqliteStore], Awaitable[object]]] = [
        lambda store: write(store, put("a")),
        lambda store: store.update_dataset(ALICE, named(), ConflictPolicy.MERGE, now=NOW),
        lambda store: share(store, Share(identity=BOB.identity, role=Role.EDITOR)),
        lambda store: share(store, ChangeRole(identity=BOB.identity, role=Role.VIEWER)),
        lambda store: share(store, RemoveMember(identity=BOB.identity)),
        lambda store: share(store, one),
        lambda store: share(store, accept, viewer=BOB, ref=None),
        lambda store: share(store, Leave(), viewer=BOB, ref=by_id(head.id)),
        lambda store: _replaced(store, one, other),
        lambda store: store.delete_dataset(ALICE, named(), now=NOW),
        lambda store: store.api_keys.add(key),
        lambda store: store.api_keys.rotate(key.id, b"n" * 32, old_until=NOW, expires_at=NOW),
    ]
    states = [_state(path)]

    for change in writes:
        store = await SqliteStore.open(path)
        await change(store)
        await store.close()
        states.append(_state(path))

    assert len(set(states)) == len(writes) + 1
    assert _state(path) == states[-1]


async def _replaced(store: SqliteStore, one: Invite, other: Invite) -> None:
    """As many invitations as before, but not the same."""
    await share(store, RevokeInvitation(id=one.id))
    await share(store, other)


def _state(path: Path) -> str:
    with open_source(path) as source:
        return source.state()
