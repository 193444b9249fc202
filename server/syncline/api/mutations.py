"""Mutation fields."""

from __future__ import annotations

import strawberry
from strawberry import UNSET

from syncline.api.context import Info
from syncline.api.events import DatasetDeleted, resync_of
from syncline.api.guests import GuestMutation
from syncline.api.inputs import CreateDatasetInput, DatasetRef, SyncInput, UpdateDatasetInput
from syncline.api.presence import Present
from syncline.api.scalars import JSON, json_of_input, since_of
from syncline.api.sharing import SharingMutation
from syncline.api.sync_results import sync_result
from syncline.api.types import Dataset, LoginLinked, SyncResult
from syncline.core.commit import Resync
from syncline.core.ids import dataset_name, mutation_id, shown
from syncline.core.model import ConflictPolicy, Role
from syncline.errors import InvalidInput


@strawberry.type
class Mutation(GuestMutation, SharingMutation):
    @strawberry.mutation(
        description=(
            "Push and pull in one atomic step. A dataset named here for the first time is created. "
            "Once this answers, the changes are on disk."
        )
    )
    async def sync(self, info: Info, input: SyncInput) -> SyncResult:  # noqa: A002 - the schema's name
        changes = tuple(change.change(f"changes[{index}]") for index, change in enumerate(input.changes or ()))
        synced = await info.context.services.syncs.sync(
            info.context.viewer,
            input.dataset.value(),
            since=since_of(input.since),
            mutation_id=mutation_id(input.mutation_id),
            changes=changes,
            on_conflict=input.on_conflict or None,
            atomic=input.atomic is not False,
        )
        if isinstance(synced, Resync):
            return resync_of(synced)
        return sync_result(synced, changes)

    @strawberry.mutation(description="Create a dataset. `sync` does so too, for a name it sees for the first time.")
    async def create_dataset(self, info: Info, input: CreateDatasetInput) -> Dataset:  # noqa: A002
        datasets = info.context.services.datasets
        head = await datasets.create(
            info.context.viewer, dataset_name(input.name), input.conflict_policy or ConflictPolicy.REJECT
        )
        return Dataset.of(head, Role.OWNER, await datasets.epoch())

    @strawberry.mutation(description="Change how a dataset treats conflicts.")
    async def update_dataset(self, info: Info, input: UpdateDatasetInput) -> Dataset:  # noqa: A002
        datasets = info.context.services.datasets
        head = await datasets.update(info.context.viewer, input.dataset.value(), input.conflict_policy)
        return Dataset.of(head, Role.OWNER, await datasets.epoch())

    @strawberry.mutation(description="Delete a dataset and its records. Every device that knew it is told.")
    async def delete_dataset(self, info: Info, dataset: DatasetRef) -> DatasetDeleted:
        head = await info.context.services.datasets.delete(info.context.viewer, dataset.value())
        return DatasetDeleted(dataset_id=strawberry.ID(head.id), name=head.name)

    @strawberry.mutation(
        description=(
            "Give this device another state where it is present: where it has a subscription `presence` with a state, "
            "over whatever connection. At most 20 times a second, 40 at once."
        )
    )
    async def set_presence(self, info: Info, dataset: DatasetRef, state: JSON | None = UNSET) -> Present:
        present = await info.context.services.presence.set_state(
            info.context.viewer, dataset.value(), json_of_input(state, "state")
        )
        return Present.of(present)

    @strawberry.mutation(
        description=(
            "Let another login be this identity, too: whoever signs in with it sees the same data. `token` is a fresh "
            "token of that login, from a provider that the server knows. A login that has data of its own is refused "
            "(`LOGIN_IN_USE`). Linking it again changes nothing."
        )
    )
    async def link_login(self, info: Info, token: str) -> LoginLinked:
        viewer, logins = info.context.viewer, info.context.services.logins
        if logins is None:
            raise InvalidInput("token", "there is no issuer whose logins could be linked")
        linked = await logins.link(viewer, token)
        return LoginLinked(identity_id=strawberry.ID(shown(linked.viewer.identity)), new=linked.new)
