"""What must be so when all has come to rest."""

from __future__ import annotations

from syncline.core.model import DatasetRef, Position, Viewer
from tests.simulation.device import Device
from tests.simulation.edits import PREFIXES, number_key, set_key
from tests.simulation.ledger import History
from tests.simulation.replica import Replica
from tests.simulation.violation import check
from tests.simulation.world import World

_MANY = 10_000


def agrees(world: World, device: Device) -> bool:
    """Whether the device holds what the books say of all that it follows, and was told all of it."""
    return all(_agrees(world, device, replica) for replica in device.replicas.values())


def _agrees(world: World, device: Device, replica: Replica) -> bool:
    history = world.ledger.live_history(device.viewer.identity, replica.name)
    if history is None or history.version == 0:
        return not replica.records and (history is not None or replica.id is None)
    end = Position(history.commits[-1].position.version)
    if replica.id != history.id or replica.position != end or device.was_told(history.id) != end:
        return False
    return replica.live() == {key: record for key, record in history.live().items() if key.startswith(replica.prefix)}


def check_database(world: World) -> None:
    """The tables hold what the books say, and each effect is there once."""
    for history in world.ledger.histories.values():
        _check_dataset(world, history)


def _check_dataset(world: World, history: History) -> None:
    viewer = Viewer(identity=history.owner, device=None)
    standing = world.database.dataset(viewer, DatasetRef(id=history.id))
    check("no dataset vanishes", standing is not None, history.id)
    assert standing is not None
    head = standing.head
    check("what is deleted stays so", (head.deleted_at is not None) == history.deleted, history.id)
    if history.deleted:
        return
    check("every commit is in the log", head.version == history.version, head.version, history.version)
    listed = world.database.records(viewer, history.id, first=_MANY, after=None, prefix="")
    records = {record.key: record for record in listed}
    check("the log holds what was committed", records == history.live(), history.id)
    check("records are counted", head.record_count == len(records), head.record_count)
    for prefix in PREFIXES:
        world.ledger.check_counters(history, number_key(prefix), set_key(prefix))
