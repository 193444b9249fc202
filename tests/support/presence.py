"""Who is present, written down shortly."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from syncline.core.ids import DeviceId, IdentityId
from syncline.core.json_values import JsonText
from syncline.core.presence import ConnectionId, Entry, PresenceChanges, PresenceEvent, PresenceList, Present, Who

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def who(identity: str, device: str | None = "phone") -> Who:
    return (IdentityId(identity), None if device is None else DeviceId(device))


def an_entry(
    identity: str, device: str | None = "phone", state: str = "{}", *, since: int = 0, changed: int | None = None
) -> Entry:
    """Times are seconds after noon."""
    identity_id, device_id = who(identity, device)
    return Entry(
        identity=identity_id,
        device=device_id,
        state=JsonText(state),
        since=NOON + timedelta(seconds=since),
        changed=NOON + timedelta(seconds=since if changed is None else changed),
    )


def a_present(identity: str, device: str | None = "phone", state: str = "{}", *, since: int = 0) -> Present:
    entry = an_entry(identity, device, state, since=since)
    return Present(identity=entry.identity, device=entry.device, state=entry.state, since=entry.since)


def entries(**by_number: Entry) -> dict[ConnectionId, Entry]:
    """By connection: ``c1=…`` is of connection 1."""
    return {ConnectionId(int(name[1:])): entry for name, entry in by_number.items()}


def applied(known: Mapping[Who, Present], event: PresenceEvent) -> dict[Who, Present]:
    """What a device that does as the events say takes for present."""
    if isinstance(event, PresenceList):
        return {(each.identity, each.device): each for each in event.present}
    assert isinstance(event, PresenceChanges)
    found = dict(known)
    for each in event.joined:
        assert (each.identity, each.device) not in found, "joined twice"
        found[each.identity, each.device] = each
    for each in event.updated:
        assert (each.identity, each.device) in found, "updated without having joined"
        found[each.identity, each.device] = each
    for each in event.left:
        assert found.pop((each.identity, each.device), None) is not None, "left without having joined"
    return found
