"""What a feed tells: the events of ``datasetChanges`` and ``identityChanges``."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.core.checkpoint import Since
from syncline.core.commit import Resync
from syncline.core.ids import DatasetId, DatasetName
from syncline.core.model import Commit, DatasetHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The feed is live: every later commit will be delivered.

    ``checkpoint`` is where it goes on from (START: there is no dataset yet, or there are many). ``resumed``: that is
    what the device asked for.
    """

    checkpoint: Since
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCreated:
    """A dataset that the device did not know; its records follow as commits."""

    head: DatasetHead


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDeleted:
    """A dataset that the device knew is gone, even if there is a new one of its name."""

    dataset: DatasetId
    name: DatasetName


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEnded:
    """The viewer may no longer see the dataset."""

    dataset: DatasetId


FeedEvent = Ready | Commit | Resync | DatasetCreated | DatasetDeleted
