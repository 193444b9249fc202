"""The limits of a dataset and of a sync, as values. Their defaults are those of Amazon Cognito Sync.

https://docs.aws.amazon.com/cognito/latest/developerguide/limits.html
"""

from __future__ import annotations

from dataclasses import dataclass

from syncline.core.ids import RecordKey
from syncline.errors import LimitExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one identity may keep and send at once. Sizes count UTF-8 keys and compact values of live records."""

    datasets: int = 20
    dataset_bytes: int = 1_048_576
    records: int = 1_024
    key_bytes: int = 1_024
    changes_per_sync: int = 1_024
    members: int = 100
    """Of one dataset, its owner included. Cognito Sync knows no sharing; this is ours, like the next."""
    invitations: int = 100
    """Of one dataset, that have not expired."""

    def check_key(self, key: RecordKey) -> None:
        """Raises LimitExceeded for a key that is too long."""
        if len(key) * 4 > self.key_bytes:
            size = len(key.encode())
            if size > self.key_bytes:
                raise LimitExceeded(limit="keyBytes", maximum=self.key_bytes, actual=size, key=key[:64])

    def check_changes(self, count: int) -> None:
        """Raises LimitExceeded for too many changes in one sync."""
        if count > self.changes_per_sync:
            raise LimitExceeded(limit="changesPerSync", maximum=self.changes_per_sync, actual=count)

    def check_datasets(self, count: int) -> None:
        """Raises LimitExceeded if an identity would own ``count`` datasets and may not."""
        if count > self.datasets:
            raise LimitExceeded(limit="datasets", maximum=self.datasets, actual=count)

    def check_members(self, count: int) -> None:
        """Raises LimitExceeded if a dataset would have ``count`` members, its owner included, and may not."""
        if count > self.members:
            raise LimitExceeded(limit="members", maximum=self.members, actual=count)

    def check_invitations(self, count: int) -> None:
        """Raises LimitExceeded if a dataset would have ``count`` invitations and may not."""
        if count > self.invitations:
            raise LimitExceeded(limit="invitations", maximum=self.invitations, actual=count)

    def check_growth(
        self, *, records: int, records_before: int, size: int, size_before: int, key: RecordKey | None = None
    ) -> None:
        """Raises LimitExceeded if a dataset would grow over a limit. One that is over already may shrink."""
        if records > self.records and records > records_before:
            raise LimitExceeded(limit="records", maximum=self.records, actual=records, key=key)
        if size > self.dataset_bytes and size > size_before:
            raise LimitExceeded(limit="datasetBytes", maximum=self.dataset_bytes, actual=size, key=key)
