"""A device: it edits while it is away, pushes until it has an answer, and follows what others do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from itertools import count

from syncline.core.changes import Change, Malformed
from syncline.core.checkpoint import Checkpoint, Since
from syncline.core.commit import Resync
from syncline.core.conflicts import ChangeStatus
from syncline.core.events import DatasetCreated, DatasetDeleted, FeedEvent, Ready
from syncline.core.ids import DatasetId, DatasetName, DeviceId, IdentityId, MutationId
from syncline.core.model import BEGINNING, Commit, DatasetRef, Position, Viewer
from syncline.core.pages import RecordFilter
from syncline.errors import SynclineError
from syncline.ports import Synced
from tests.simulation import edits
from tests.simulation.asking import Asking, check_passing
from tests.simulation.edits import Push
from tests.simulation.network import Network
from tests.simulation.node import OpenFeed
from tests.simulation.replica import Replica, Standing
from tests.simulation.stream import Cut, Stream
from tests.simulation.subscription import Subscription
from tests.simulation.violation import check
from tests.simulation.world import World, short

_MOST_CHANGES = 3
_ROOMY = 1_000
_BACKOFF_SECONDS = 0.4
_DOUBT_SECONDS = 1.0


class Device:
    """One installation. With one dataset it follows that one, with several all that its identity has.

    It talks about one dataset at a time (``_talking``); what it hears by its subscription comes in between.
    """

    def __init__(self, world: World, network: Network, viewer: Viewer, names: tuple[DatasetName, ...]) -> None:
        dice = world.dice
        self.viewer = viewer
        self._world = world
        self._network = network
        self.asking = Asking(world, network, viewer, self.label)
        follows_one = len(names) == 1
        self._skips_own = dice.random() < 0.3
        prefix = dice.choice(edits.PREFIXES) if follows_one and dice.random() < 0.3 else ""
        self._from_now = follows_one and not self._skips_own and dice.random() < 0.2
        """Whether it subscribes without a checkpoint, and pulls what it lacks."""
        self._room = dice.choice([1, 2, 4, _ROOMY])
        self.slow = dice.random() < 0.3
        self.wanted = RecordFilter(prefix=prefix, skip_author=viewer.author if self._skips_own else None)
        self.replicas = {name: Replica(name, prefix) for name in names}
        self._talking = asyncio.Lock()
        self._waiting: dict[DatasetName, list[Change]] = {name: [] for name in names}
        self._frozen: dict[DatasetName, Push] = {}
        self._mutations = count(1)
        self._edits = count(1)
        self._edited = asyncio.Event()
        self._stream: Stream | None = None
        self._subscription: Subscription | None = None
        self._names: dict[DatasetId, DatasetName] = {}
        self._online = asyncio.Event()
        self._online.set()
        self._by_id = False
        self._unsure = False
        """It gave up a push without knowing what became of it: its own writes may be news to it."""

    @property
    def label(self) -> str:
        return f"{self.viewer.identity}/{self.viewer.device}"

    # --- what people do -----------------------------------------------------------------------------------------------

    def edit(self, name: DatasetName) -> None:
        replica, dice = self.replicas[name], self._world.dice
        change = edits.edit(dice, replica, f"{self.viewer.device}.{next(self._edits)}")
        self._world.trace.add("edit", self.label, name, type(change).__name__, change.key)
        self._waiting[name].append(change)
        self._edited.set()

    def go_offline(self) -> None:
        self._world.trace.add("goes offline", self.label)
        self._online.clear()
        self.disconnect()

    def go_online(self) -> None:
        self._online.set()

    def disconnect(self) -> None:
        if self._stream is not None:
            self._stream.cut_off()

    def calm_down(self) -> None:
        """Be there from now on, and attentive."""
        self.slow = False
        self.go_online()
        if self._unsure:
            self.disconnect()

    # --- at the end ---------------------------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """Whether it has nothing left to say, and is told of what happens."""
        return (
            not any(self._waiting.values())
            and not self._frozen
            and not self._unsure
            and not any(replica.behind for replica in self.replicas.values())
            and self._subscription is not None
            and self._subscription.ready is not None
        )

    def was_told(self, dataset: DatasetId) -> Position | None:
        """Up to where its subscription has told it of the dataset; None: it never mentioned it."""
        return None if self._subscription is None else self._subscription.place(dataset)

    # --- pushing ------------------------------------------------------------------------------------------------------

    async def push(self) -> None:
        """Send what waits, for ever."""
        while True:
            in_doubt = [replica for replica in self.replicas.values() if self._is_in_doubt(replica)]
            with suppress(TimeoutError):
                async with asyncio.timeout(_DOUBT_SECONDS if in_doubt else None):
                    await self._edited.wait()
            await self._online.wait()
            self._edited.clear()
            for replica in in_doubt:
                if replica.behind or self._is_in_doubt(replica):
                    await self.pull(replica.name)
            for name in self.replicas:
                while self._waiting[name] or name in self._frozen:
                    await self._online.wait()
                    if not await self._push_one(name):
                        await asyncio.sleep(self._world.within(_BACKOFF_SECONDS))

    def _is_in_doubt(self, replica: Replica) -> bool:
        """Whether to look after it oneself: what the subscription never mentioned it may never call deleted."""
        return replica.behind or (replica.id is not None and self.was_told(replica.id) is None)

    def _freeze(self, name: DatasetName) -> Push:
        dice, replica = self._world.dice, self.replicas[name]
        atomic = dice.random() < 0.6
        changes = tuple(self._waiting[name][:_MOST_CHANGES])
        del self._waiting[name][:_MOST_CHANGES]
        if not atomic and dice.random() < 0.2:
            changes = (edits.misfit(dice, replica), *changes)
        mutation_id = MutationId(f"{self.viewer.device}-{next(self._mutations)}")
        return Push(mutation_id, changes, edits.policy(dice), atomic)

    async def _push_one(self, name: DatasetName) -> bool:
        """Whether the push has its outcome."""
        async with self._talking:
            push = self._frozen.get(name)
            if push is None:
                push = self._frozen[name] = self._freeze(name)
            replica = self.replicas[name]
            # Who holds nothing has to pull: the records of the answer alone may be gone by the time it reads the rest.
            # Who is told nothing of its own writes has to as well: they may have gone to an incarnation it has not met.
            must_pull = replica.position == BEGINNING or self._skips_own
            only_pushes = not must_pull and self._world.dice.random() < 0.1
            since = None if only_pushes else replica.since
            asked_at = replica.standing()
            answer = await self.asking.sync(name, push, since)
            if isinstance(answer, Synced):
                self._world.ledger.acknowledge(self.viewer, push.mutation_id, answer)
                self._take_answer(replica, asked_at, since, push, answer)
                self._settle(name, push, answer)
                del self._frozen[name]
                return True
        if isinstance(answer, Resync):
            await self._start_over(replica, answer)
            again = await self.asking.sync(name, push, replica.since)
            if isinstance(again, Resync):
                # It was decided in an incarnation that is gone, or others go on deleting: its outcome does not matter.
                self._world.trace.add("gives up", self.label, push.mutation_id)
                self._unsure = True
                del self._frozen[name]
                return True
        return False

    def _take_answer(
        self, replica: Replica, asked_at: Standing, since: Since | None, push: Push, answer: Synced
    ) -> None:
        """The page leads on from ``since``; the records touched are as they are now, wherever that is in the log."""
        dataset = answer.head.id
        if answer.page is not None:
            previous = since.position if isinstance(since, Checkpoint) else BEGINNING
            replica.take(dataset, answer.epoch, previous, answer.page.position, answer.page.records)
            replica.behind = replica.behind or answer.page.has_more
            if replica.stands_at(dataset, answer.page.position):
                asked_at = replica.standing()
        if asked_at == replica.standing() and replica.id == dataset:
            absent = {change.key for change in push.changes} - answer.records.keys()
            replica.note(answer.records.values(), absent, as_of=answer.head.version)
            return
        # It began anew since it asked: what is in the answer may be older than its beginning.
        replica.behind = True
        if self._skips_own:
            replica.forget()

    def _settle(self, name: DatasetName, push: Push, answer: Synced) -> None:
        """Of what conflicted, some is dropped in favour of the server's record; the rest is proposed anew."""
        for change, outcome in zip(push.changes, answer.outcomes, strict=True):
            conflicted = outcome.status is ChangeStatus.CONFLICT
            check("only what is at fault is rejected", _is_misfit(change) or outcome.code is None, change, outcome)
            if conflicted and self._world.dice.random() < 0.5:
                self._waiting[name].append(edits.rebased(change))
            elif answer.conflicted and not conflicted:
                self._waiting[name].append(change)

    # --- pulling ------------------------------------------------------------------------------------------------------

    async def pull(self, name: DatasetName) -> bool:
        """Whether the device now holds all there was."""
        replica = self.replicas[name]
        async with self._talking:
            # Until all is there: others look at it meanwhile.
            replica.behind = True
            while (more := await self._pull_page(replica)) is True:
                pass
            replica.behind = more is None
        return not replica.behind

    async def _pull_page(self, replica: Replica) -> bool | None:
        """Whether there is more; None: there was no answer."""
        since, asked_at, misses = replica.since, replica.standing(), replica.misses
        read = await self.asking.pull(replica.name, since)
        if read is None:
            return None
        if asked_at != replica.standing():
            # Meanwhile the subscription told of another incarnation: this answer is about the one before.
            return True
        if read.reason is not None:
            replica.forget()
            return True
        if read.page is None or read.head is None:
            replica.forget()
            return misses != replica.misses
        previous = since.position if isinstance(since, Checkpoint) else BEGINNING
        replica.take(read.head.id, read.epoch, previous, read.page.position, read.page.records)
        return read.page.has_more or misses != replica.misses

    async def _start_over(self, replica: Replica, resync: Resync) -> None:
        self._world.trace.add("starts over", self.label, replica.name, resync.reason, short(resync.dataset))
        replica.forget()
        replica.behind = True
        await self.pull(replica.name)

    # --- following ----------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Be subscribed, for ever."""
        while True:
            await self._online.wait()
            try:
                await self._catch_up()
                await self._subscribe()
                await self._hear_all()
            except Cut:
                self._world.trace.add("disconnected", self.label)
            except SynclineError as error:
                check_passing(error)
                self._world.trace.add("feed ended", self.label, error.code)
            self._stream = self._subscription = None
            await asyncio.sleep(self._world.within(_BACKOFF_SECONDS))

    async def _catch_up(self) -> None:
        """Pull what the subscription will not bring: of its own writes, if those are left out, it learns here."""
        if self._unsure:
            for replica in self.replicas.values():
                replica.forget()
                replica.behind = True
            self._unsure = False
        for name, replica in self.replicas.items():
            if (replica.behind or (self._skips_own and replica.position == BEGINNING)) and not await self.pull(name):
                raise Cut

    async def _subscribe(self) -> None:
        known: Mapping[DatasetId, Since] = {
            replica.id: replica.since for replica in self.replicas.values() if replica.id is not None
        }
        self._names = {replica.id: replica.name for replica in self.replicas.values() if replica.id is not None}
        name = next(iter(self.replicas)) if len(self.replicas) == 1 else None
        self._subscription = Subscription(self._world.ledger, self.viewer, self.wanted, since=known, name=name)
        node = self._world.dice.choice(self._world.nodes)
        self._world.trace.add("subscribes", self.label, node.name, name, *map(short, known))
        self._edited.set()
        self._stream = await self._network.subscribe(node, self._open_feed(name, known), self._room)

    def _open_feed(self, name: DatasetName | None, known: Mapping[DatasetId, Since]) -> OpenFeed:
        if name is None:
            return lambda subscriptions: subscriptions.identity(self.viewer, known, skip_own=self._skips_own)
        since = None if self._from_now else self.replicas[name].since
        self._by_id = bool(known) and self._world.dice.random() < 0.15
        ref = DatasetRef(id=self.replicas[name].id) if self._by_id else DatasetRef(name=name)
        return lambda subscriptions: subscriptions.dataset(
            self.viewer, ref, since, skip_own=self._skips_own, prefix=self.wanted.prefix
        )

    async def _hear_all(self) -> None:
        stream = self._stream
        assert stream is not None
        while (event := await stream.next()) is not None:
            await self._hear(event)
            for name, replica in self.replicas.items():
                if replica.behind and not await self.pull(name):
                    raise Cut
            # There may be something new to be in doubt about.
            self._edited.set()
            if self.slow and self._world.dice.random() < 0.3:
                await asyncio.sleep(self._world.within(0.5))
        check("only the feed of a dataset by its id comes to an end", self._by_id, self.label)

    async def _hear(self, event: FeedEvent) -> None:
        assert self._subscription is not None
        replica = self._replica_of(event)
        follows_on = (
            isinstance(event, Commit) and replica is not None and replica.stands_at(event.dataset, event.previous)
        )
        self._subscription.hear(event, replica.records if replica is not None and follows_on else {})
        self._trace(event)
        match event:
            case Ready() if self._from_now:
                for each in self.replicas.values():
                    each.behind = True
            case Commit() if replica is not None and self._skips_own and replica.behind:
                # What it has to pull may be its own, which the event leaves out.
                replica.miss()
            case Commit() if replica is not None:
                replica.take_commit(event)
            case DatasetDeleted(dataset=dataset) if replica is not None:
                replica.bury(dataset)
            case Resync() if replica is not None:
                replica.forget()
                # What follows leaves out its own writes; and if the dataset is gone, nothing follows.
                replica.behind = self._skips_own or len(self.replicas) > 1

    def _replica_of(self, event: FeedEvent) -> Replica | None:
        if len(self.replicas) == 1:
            return next(iter(self.replicas.values()))
        match event:
            case DatasetCreated(head=head):
                self._names[head.id] = head.name
                return self.replicas.get(head.name)
            case Commit(dataset=dataset) | DatasetDeleted(dataset=dataset) | Resync(dataset=dataset):
                name = self._names.get(dataset)
                return None if name is None else self.replicas.get(name)
        return None

    def _trace(self, event: FeedEvent) -> None:
        match event:
            case Commit():
                places = (
                    f"{event.previous.version}.{event.previous.offset}-{event.position.version}.{event.position.offset}"
                )
                keys = [record.key for record in event.records]
                self._world.trace.add("hears", self.label, short(event.dataset), places, *keys)
            case DatasetDeleted(dataset=dataset) | Resync(dataset=dataset):
                self._world.trace.add("hears", self.label, type(event).__name__, short(dataset))
            case _:
                self._world.trace.add("hears", self.label, type(event).__name__)


def viewer(identity: str, device: str) -> Viewer:
    return Viewer(identity=IdentityId(identity), device=DeviceId(device))


def _is_misfit(change: Change) -> bool:
    return isinstance(change, Malformed)
