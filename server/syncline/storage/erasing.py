"""Removing all that is held about an identity, while servers use the database.

The first transaction takes away what the identity can see and what others can see of it: its datasets are deleted ones
without a name, its standings are gone, and the stores refuse it from then on. What remains are rows that nobody reads;
they go batch by batch, so that no server waits for long. Killed at any time it is gone on with by another call, which
begins at the beginning and finds less to do.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from syncline.core.audit import AuditAct, AuditEntry
from syncline.core.ids import ERASED, IdentityId, erased_hash, erased_in, erased_login_hash, shown, tenant_of
from syncline.storage.beside import BATCH_ROWS, Beside, Snapshot, Steps
from syncline.storage.identity_tables import OTHERS_TEXTS
from syncline.storage.rows import Bindings, Row, audit_bindings, micros

_BETWEEN_BATCHES = 0.005
_STANDINGS: Final = {
    "drop_own_invitations": "invitations",
    "end_memberships": None,
    "drop_memberships": "memberships",
    "erase_datasets": "datasets",
}
"""The statements of the first transaction, and what each removes."""
_BATCHES: Final = {"erase_own_records": "records", "erase_receipts": "receipts", "erase_audit": "audit entries"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What one call removed or changed, by what it is. ``left``: where something of the identity is yet."""

    counts: Counter[str]
    left: tuple[str, ...]


async def erase(beside: Beside, identity: IdentityId, *, operator: str, now: datetime) -> Removed:
    """Remove all of it, and of the guests that it was before it signed in; and look whether that is so."""
    whole = [identity, *await _guests(beside, identity)]
    erasures = [_Erasure(beside, each, operator, now) for each in whole]
    for erasure in erasures:
        await erasure.begin()
    counts: Counter[str] = Counter()
    left: list[str] = []
    # The guests first: as long as there is something of them, the identity leads to them.
    for erasure in reversed(erasures):
        await erasure.go_on()
        left += await erasure.finish()
        counts += erasure.counts
    return Removed(counts=counts, left=tuple(left))


async def _guests(beside: Beside, identity: IdentityId) -> list[IdentityId]:
    rows = await beside.transaction(lambda steps: steps.rows("guests_linked_to", {"identity": identity}))
    return [IdentityId(row[0]) for row in rows]


async def remains(beside: Beside, identity: IdentityId) -> list[str]:
    """Each column of the database in which the identity stands.

    Every column that there is is looked at, whatever is said of it elsewhere, but those of texts that people, devices
    and issuers choose themselves.
    """
    async with beside.snapshot() as snapshot:
        return [
            f"{table}.{column}"
            for table, column in await snapshot.texts()
            if (table, column) not in OTHERS_TEXTS and await _stands_in(snapshot, table, column, identity)
        ]


async def _stands_in(snapshot: Snapshot, table: str, column: str, identity: IdentityId) -> bool:
    return await snapshot.same(table, column, identity) > 0


class _Erasure:
    def __init__(self, beside: Beside, identity: IdentityId, operator: str, now: datetime) -> None:
        self.counts: Counter[str] = Counter()
        self._beside = beside
        self._identity = identity
        self._tenant = tenant_of(identity)
        self._operator = operator
        self._now = now
        self._bindings: Bindings = {
            "identity": identity,
            "shown": shown(identity),
            "tenant": self._tenant,
            "erased": erased_in(self._tenant),
            "erased_name": ERASED,
            "hash": erased_hash(identity),
            "now": micros(now),
            "batch": BATCH_ROWS,
        }

    async def begin(self) -> None:
        """From here on the identity is refused, and nobody sees anything of it."""
        proposed = f"{erased_in(self._tenant)}-{secrets.token_hex(8)}"

        async def begin(steps: Steps) -> tuple[str, Counter[str]]:
            rows = await steps.rows("begin_erasure", {**self._bindings, "pseudonym": proposed})
            pseudonym = str(rows[0][0])
            counts = await self._end_standings(steps)
            counts["logins"] += await self._end_logins(steps, pseudonym)
            counts["API keys"] += await steps.change("erase_api_key", self._bindings)
            entry = AuditEntry(
                at=self._now,
                tenant=self._tenant,
                operator=self._operator,
                act=AuditAct.ERASE_IDENTITY,
                subject=IdentityId(pseudonym),
            )
            await steps.change("insert_audit", audit_bindings(entry))
            return pseudonym, counts

        self._bindings["pseudonym"], counts = await self._beside.transaction(begin)
        self.counts += counts

    async def go_on(self) -> None:
        """Remove the rows that nobody reads any more, and what was just being written when this began."""
        for statement, what in _BATCHES.items():
            while count := await self._change(statement, self._bindings):
                self.counts[what] += count
                await asyncio.sleep(_BETWEEN_BATCHES)
        await self._erase_authorship()

        async def again(steps: Steps) -> Counter[str]:
            counts = await self._end_standings(steps)
            counts["logins"] += await self._end_logins(steps, str(self._bindings["pseudonym"]))
            # Not before: who was a guest of whom is how an erasure that was cut short finds its way.
            counts["guests"] += await steps.change("forget_guest", self._bindings)
            for statement in self._beside.own:
                await steps.change(statement, self._bindings)
            return counts

        self.counts += await self._beside.transaction(again)

    async def finish(self) -> list[str]:
        """Where something is left; if nowhere, it is noted that this is done."""
        left = await remains(self._beside, self._identity)
        if not left:
            await self._change("finish_erasure", self._bindings)
        return left

    async def _end_standings(self, steps: Steps) -> Counter[str]:
        counts: Counter[str] = Counter()
        for lock in self._beside.locks:
            await steps.rows(lock, self._bindings)
        for statement, what in _STANDINGS.items():
            count = await steps.change(statement, self._bindings)
            if what is not None:
                counts[what] += count
        return counts

    async def _end_logins(self, steps: Steps, pseudonym: str) -> int:
        """None of them is an identity any more, nor becomes another one by a token from before."""
        for issuer, subject in await steps.rows("logins_of", self._bindings):
            hash_ = erased_login_hash(self._tenant, issuer, subject)
            await steps.rows("begin_erasure", {**self._bindings, "hash": hash_, "pseudonym": pseudonym})
        return await steps.change("erase_logins", self._bindings)

    async def _erase_authorship(self) -> None:
        """No index leads to what somebody wrote in the datasets of others, so all records are read once."""
        self.counts["datasets changed last"] += await self._change("erase_head_authors", self._bindings)
        async with (
            self._beside.snapshot() as snapshot,
            aclosing(snapshot.rows("authored", self._bindings)) as batches,
        ):
            async for batch in batches:

                async def replace(steps: Steps, batch: list[Row] = batch) -> int:
                    counts = [
                        await steps.change("erase_author", {**self._bindings, "dataset": dataset, "key": key})
                        for dataset, key in batch
                    ]
                    return sum(counts)

                self.counts["authorships"] += await self._beside.transaction(replace)
                await asyncio.sleep(_BETWEEN_BATCHES)

    async def _change(self, statement: str, bindings: Bindings) -> int:
        return await self._beside.transaction(lambda steps: steps.change(statement, bindings))
