"""Guests in the schema: how one begins, goes on, and signs in."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry import UNSET

from syncline.api.context import Info
from syncline.api.scalars import JSON
from syncline.api.types import json_of
from syncline.core import ids, linking
from syncline.core.ids import shown
from syncline.core.model import Role
from syncline.ports import GuestToken as Token

strawberry.enum(
    linking.LinkRule,
    description=(
        "What becomes of a guest's dataset whose name the account has, too. KEEP_BOTH: the guest's gets a free name. "
        "MERGE: its records go into the account's, and what differs is reported; the account's stays. PREFER_ACCOUNT: "
        "the guest's is deleted. PREFER_GUEST: the account's is deleted, and the guest's takes its place."
    ),
)
strawberry.enum(
    linking.LinkFate,
    description=(
        "What became of a guest's dataset. MOVED, RENAMED and REPLACED keep their id, version and checkpoints. MERGED "
        "and DROPPED are deleted."
    ),
)


@strawberry.type(description="What a guest's device sends as its token, until it is renewed.")
class GuestToken:
    token: str
    identity_id: strawberry.ID
    device_id: strawberry.ID
    expires_at: datetime
    renewable_until: datetime = strawberry.field(
        description="Until then renewGuest and linkGuest take the token, though it has expired."
    )

    @staticmethod
    def of(token: Token) -> GuestToken:
        return GuestToken(
            token=token.text,
            identity_id=strawberry.ID(shown(token.viewer.identity)),
            device_id=strawberry.ID(token.viewer.device or ""),
            expires_at=token.expires_at,
            renewable_until=token.renewable_until,
        )


@strawberry.type(description="A dataset that was the guest's.")
class LinkedDataset:
    dataset_id: strawberry.ID
    name: str = strawberry.field(description="Its name now; of one that is deleted, the last.")
    former_name: str
    fate: linking.LinkFate
    accounts_dataset_id: strawberry.ID | None = strawberry.field(
        description="The account's dataset of the former name, if it had one: merged into, kept, or replaced."
    )


@strawberry.type(description="Somebody else's dataset that the guest was a member of, and the account is now.")
class LinkedMembership:
    dataset_id: strawberry.ID
    name: str
    role: Role = strawberry.field(description="The higher one, if both were members.")


@strawberry.type(description="A record that both had, and not alike. The account's stayed.")
class LinkConflict:
    dataset_id: strawberry.ID = strawberry.field(description="The account's dataset.")
    name: str
    key: str
    account_value: JSON
    guest_value: JSON


@strawberry.type(description="What became of all that the guest had.")
class LinkedGuest:
    guest_id: strawberry.ID
    rule: linking.LinkRule = strawberry.field(description="The one of the first call.")
    linked_at: datetime
    datasets: list[LinkedDataset]
    memberships: list[LinkedMembership]
    conflicts: list[LinkConflict] = strawberry.field(description="With MERGE only.")

    @staticmethod
    def of(linked: linking.Linked) -> LinkedGuest:
        return LinkedGuest(
            guest_id=strawberry.ID(shown(linked.guest)),
            rule=linked.rule,
            linked_at=linked.linked_at,
            datasets=[
                LinkedDataset(
                    dataset_id=strawberry.ID(each.id),
                    name=each.name,
                    former_name=each.former_name,
                    fate=each.fate,
                    accounts_dataset_id=None if each.accounts is None else strawberry.ID(each.accounts),
                )
                for each in linked.datasets
            ],
            memberships=[
                LinkedMembership(dataset_id=strawberry.ID(each.id), name=each.name, role=each.role)
                for each in linked.memberships
            ],
            conflicts=[
                LinkConflict(
                    dataset_id=strawberry.ID(each.dataset),
                    name=each.name,
                    key=each.key,
                    account_value=json_of(each.account_value),
                    guest_value=json_of(each.guest_value),
                )
                for each in linked.conflicts
            ],
        )


@strawberry.type
class GuestMutation:
    @strawberry.mutation(
        description=(
            "Become a guest: a new identity, for who has not signed in yet. Needs no token. Only on servers that take "
            "guests. deviceId: the device's own id; left out, one is made."
        )
    )
    async def create_guest(self, info: Info, device_id: strawberry.ID | None = UNSET) -> GuestToken:
        token = await info.context.services.guests.create(_device(device_id), caller=info.context.caller)
        return GuestToken.of(token)

    @strawberry.mutation(
        description=(
            "A fresh token for the same guest; the old one may have expired. Needs no other token. deviceId: another "
            "device of the guest's; left out, the same one."
        )
    )
    async def renew_guest(self, info: Info, guest_token: str, device_id: strawberry.ID | None = UNSET) -> GuestToken:
        return GuestToken.of(await info.context.services.guests.renew(guest_token, _device(device_id)))

    @strawberry.mutation(
        description=(
            "Move all that a guest has to the viewer, who has signed in. It happens wholly or not at all. The guest is "
            "disabled from then on. The same again gives the first answer again, so that a lost one does no harm, and "
            "each of the guest's devices can ask."
        )
    )
    async def link_guest(self, info: Info, guest_token: str, rule: linking.LinkRule) -> LinkedGuest:
        return LinkedGuest.of(await info.context.services.guests.link(info.context.viewer, guest_token, rule))


def _device(text: str | None) -> ids.DeviceId | None:
    return ids.device_id(text) if text else None
