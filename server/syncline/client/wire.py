"""The GraphQL operations that the client sends, and the answers as typed values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from syncline.client.cache import SyncedRecord
from syncline.core.checkpoint import ResyncReason
from syncline.core.conflicts import ChangeStatus
from syncline.core.ids import RecordKey
from syncline.core.json_values import JsonText

PAGE_RECORDS = 500

_RECORD = "fragment R on Record { key value deleted version updatedBy { identityId deviceId } }"

SYNC = f"""mutation Sync($input: SyncInput!) {{
  sync(input: $input) {{
    __typename
    ... on SyncApplied {{
      dataset {{ id version conflictPolicy role }} checkpoint hasMore
      results {{ key status code details record {{ ...R }} }} records {{ ...R }}
    }}
    ... on SyncConflicted {{
      dataset {{ id version conflictPolicy role }} checkpoint hasMore
      conflicts {{ key current {{ ...R }} }} records {{ ...R }}
    }}
    ... on ResyncRequired {{ datasetId reason }}
  }}
}}
{_RECORD}"""

PULL = f"""query Pull($dataset: DatasetRef!, $since: Checkpoint!, $first: Int!) {{
  dataset(dataset: $dataset) {{ id version conflictPolicy role }}
  changes(dataset: $dataset, since: $since, first: $first) {{
    __typename
    ... on ChangePage {{ checkpoint hasMore records {{ ...R }} }}
    ... on ResyncRequired {{ datasetId reason }}
  }}
}}
{_RECORD}"""

VIEWER = "query Viewer { viewer { identityId deviceId limits { changesPerSync } } }"

CHANGES = f"""subscription Changes($dataset: DatasetRef!, $since: Checkpoint) {{
  datasetChanges(dataset: $dataset, since: $since) {{
    __typename
    ... on Ready {{ checkpoint resumed }}
    ... on Commit {{ datasetId previous checkpoint version records {{ ...R }} }}
    ... on ResyncRequired {{ datasetId reason }}
    ... on DatasetDeleted {{ datasetId name }}
  }}
}}
{_RECORD}"""


_PRESENT = "fragment P on Present { identityId deviceId state since }"
_PRESENCE_EVENTS = """
    __typename
    ... on PresenceList { present { ...P } }
    ... on PresenceChanges { joined { ...P } updated { ...P } left { ...P } }
    ... on DatasetDeleted { datasetId }
"""

WATCH_PRESENCE = f"""subscription WatchPresence($dataset: DatasetRef!) {{
  presence(dataset: $dataset) {{ {_PRESENCE_EVENTS} }}
}}
{_PRESENT}"""

BE_PRESENT = f"""subscription BePresent($dataset: DatasetRef!, $state: JSON) {{
  presence(dataset: $dataset, state: $state) {{ {_PRESENCE_EVENTS} }}
}}
{_PRESENT}"""

SET_PRESENCE = """mutation SetPresence($dataset: DatasetRef!, $state: JSON) {
  setPresence(dataset: $dataset, state: $state) { since }
}"""


class _Struct(msgspec.Struct, rename="camel", kw_only=True):
    pass


class WireAuthor(_Struct):
    identity_id: str
    device_id: str | None = None


class WireRecord(_Struct):
    key: str
    value: msgspec.Raw
    deleted: bool
    version: int
    updated_by: WireAuthor

    def synced(self) -> SyncedRecord:
        return SyncedRecord(
            key=RecordKey(self.key),
            value=None if self.deleted else JsonText(bytes(self.value).decode()),
            version=self.version,
            author_identity=self.updated_by.identity_id,
            author_device=self.updated_by.device_id,
        )


class WireDataset(_Struct):
    id: str
    version: int
    conflict_policy: str
    role: str


class WireChangeResult(_Struct):
    key: str
    status: ChangeStatus
    code: str | None = None
    details: dict[str, Any] | None = None
    record: WireRecord | None = None


class WireConflict(_Struct):
    key: str
    current: WireRecord | None = None


class ResyncRequired(_Struct, tag_field="__typename", tag="ResyncRequired"):
    reason: ResyncReason
    dataset_id: str | None = None


class SyncApplied(_Struct, tag_field="__typename", tag="SyncApplied"):
    dataset: WireDataset
    checkpoint: str
    has_more: bool
    results: list[WireChangeResult]
    records: list[WireRecord]


class SyncConflicted(_Struct, tag_field="__typename", tag="SyncConflicted"):
    dataset: WireDataset
    checkpoint: str
    has_more: bool
    conflicts: list[WireConflict]
    records: list[WireRecord]


class ChangePage(_Struct, tag_field="__typename", tag="ChangePage"):
    checkpoint: str
    has_more: bool
    records: list[WireRecord]


class WireReady(_Struct, tag_field="__typename", tag="Ready"):
    resumed: bool
    checkpoint: str | None = None


class WireCommit(_Struct, tag_field="__typename", tag="Commit"):
    dataset_id: str
    previous: str
    checkpoint: str
    version: int
    records: list[WireRecord]


class DatasetDeleted(_Struct, tag_field="__typename", tag="DatasetDeleted"):
    dataset_id: str
    name: str


class AccessEnded(_Struct, tag_field="__typename", tag="AccessEnded"):
    pass


SyncAnswer = SyncApplied | SyncConflicted | ResyncRequired
StreamEvent = WireReady | WireCommit | ResyncRequired | DatasetDeleted | AccessEnded


class SyncData(_Struct):
    sync: SyncAnswer


class PullData(_Struct):
    changes: ChangePage | ResyncRequired
    dataset: WireDataset | None = None


class WireLimits(_Struct):
    changes_per_sync: int


class WireViewer(_Struct):
    identity_id: str
    limits: WireLimits
    device_id: str | None = None


class ViewerData(_Struct):
    viewer: WireViewer


class StreamData(_Struct):
    dataset_changes: StreamEvent


class WirePresent(_Struct):
    identity_id: str
    device_id: str | None
    state: Any
    since: datetime


class PresenceList(_Struct, tag_field="__typename", tag="PresenceList"):
    present: list[WirePresent]


class PresenceChanges(_Struct, tag_field="__typename", tag="PresenceChanges"):
    joined: list[WirePresent]
    updated: list[WirePresent]
    left: list[WirePresent]


class PresenceEnded(_Struct, tag_field="__typename", tag="DatasetDeleted"):
    dataset_id: str


class PresenceData(_Struct):
    presence: PresenceList | PresenceChanges | PresenceEnded | AccessEnded


class SetPresenceData(_Struct):
    set_presence: Any


class WireError(_Struct):
    message: str
    extensions: dict[str, Any] = {}

    @property
    def code(self) -> str:
        return str(self.extensions.get("code", "UNKNOWN"))

    @property
    def retryable(self) -> bool:
        return self.extensions.get("retryable") is True

    @property
    def facts(self) -> dict[str, Any]:
        return {name: fact for name, fact in self.extensions.items() if name not in ("code", "retryable")}


def synced(records: Iterable[WireRecord]) -> list[SyncedRecord]:
    return [record.synced() for record in records]
