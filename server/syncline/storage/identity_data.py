"""What is held about an identity, exported and erased by a server, beside its own use of the database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from datetime import datetime

from syncline.core.audit import AuditAct, AuditEntry
from syncline.core.ids import IdentityId, tenant_of
from syncline.errors import StartRefused, StoreUnavailable
from syncline.ports import ErasedData, Held
from syncline.storage.auditing import note
from syncline.storage.beside import Beside
from syncline.storage.erasing import erase
from syncline.storage.exporting import held


class IdentityDataBeside:
    """``ports.IdentityData``, each time on connections of its own: nothing else of the server waits for them."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[Beside]]) -> None:
        self._opened = opened

    async def note_export(self, identity: IdentityId, *, operator: str, now: datetime) -> None:
        entry = AuditEntry(
            at=now, tenant=tenant_of(identity), operator=operator, act=AuditAct.EXPORT_IDENTITY, subject=identity
        )
        with _unavailable():
            async with self._opened() as beside:
                await note(beside, entry)

    async def held(self, identity: IdentityId) -> AsyncGenerator[Sequence[Held], None]:
        with _unavailable():
            async with self._opened() as beside, aclosing(held(beside, identity)) as rows:
                async for batch in rows:
                    yield batch

    async def erase(self, identity: IdentityId, *, operator: str, now: datetime) -> ErasedData:
        with _unavailable():
            async with self._opened() as beside:
                removed = await erase(beside, identity, operator=operator, now=now)
                # The file is not written anew: all syncs would wait for that. It is for a command, at a quiet hour.
                scrubbed = await beside.scrub(identity, rewrite=False)
        return ErasedData(
            counts=dict(+removed.counts),
            left=removed.left,
            in_files=None if scrubbed is None else scrubbed.places,
        )


@contextmanager
def _unavailable() -> Iterator[None]:
    """What a command is told in a sentence, callers are told as of any other use of the store."""
    try:
        yield
    except StartRefused as error:
        raise StoreUnavailable(type(error.__cause__ or error).__name__) from error
