"""Bugs of the protocol, each a small edit of the product that the named tests must notice.

What is planted is what goes wrong in sync servers: a page that claims more than it holds, a retry taken for new work,
an answer before the disk has it. ``test_planted_bugs.py`` plants them one at a time in a copy of the package.
"""

from __future__ import annotations

from tests.planted.bugs import (
    checkpoints,
    commits,
    conflicts,
    credentials,
    delivery,
    devices,
    feeds,
    guests,
    hints,
    nodes,
    pages,
    presence,
    retries,
    sharing,
    sockets,
    storage,
)
from tests.planted.bugs.model import PlantedBug

BUGS: tuple[PlantedBug, ...] = (
    *pages.BUGS,
    *checkpoints.BUGS,
    *retries.BUGS,
    *conflicts.BUGS,
    *commits.BUGS,
    *storage.BUGS,
    *hints.BUGS,
    *nodes.BUGS,
    *sharing.BUGS,
    *delivery.BUGS,
    *feeds.BUGS,
    *sockets.BUGS,
    *presence.BUGS,
    *guests.BUGS,
    *devices.BUGS,
    *credentials.BUGS,
)
