/** What the demo says to the server and hears from it: a part of `schema.graphql`. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** Opaque: kept, compared for being the same, and sent back. */
export type Checkpoint = string;

/** The checkpoint of a device that has nothing. */
export const START: Checkpoint = 'start';

export const DATASET = { name: 'demo-list' };

export interface RemoteRecord {
  readonly key: string;
  readonly value: Json;
  readonly deleted: boolean;
  readonly version: number;
}

export interface Page {
  readonly records: readonly RemoteRecord[];
  readonly checkpoint: Checkpoint;
  readonly hasMore: boolean;
}

export interface ResyncRequired {
  readonly __typename: 'ResyncRequired';
  readonly reason: 'EPOCH_CHANGED' | 'CHECKPOINT_TOO_OLD' | 'CHECKPOINT_FROM_FUTURE' | 'DATASET_RECREATED';
}

export interface ChangeResult {
  readonly key: string;
  readonly status: 'APPLIED' | 'MERGED' | 'UNCHANGED' | 'CONFLICT' | 'REJECTED';
  readonly code: string | null;
  readonly record: RemoteRecord | null;
}

export interface SyncApplied extends Page {
  readonly __typename: 'SyncApplied';
  readonly results: readonly ChangeResult[];
}

export interface SyncConflicted extends Page {
  readonly __typename: 'SyncConflicted';
  readonly conflicts: readonly { readonly key: string; readonly current: RemoteRecord | null }[];
}

export type SyncResult = SyncApplied | SyncConflicted | ResyncRequired;

export type PullResult = (Page & { readonly __typename: 'ChangePage' }) | ResyncRequired;

export interface Commit {
  readonly __typename: 'Commit';
  readonly previous: Checkpoint;
  readonly checkpoint: Checkpoint;
  readonly version: number;
  readonly records: readonly RemoteRecord[];
}

export type DatasetEvent =
  | { readonly __typename: 'Ready'; readonly resumed: boolean }
  | Commit
  | ResyncRequired
  | { readonly __typename: 'DatasetDeleted' }
  | { readonly __typename: 'AccessEnded' };

const RECORD = 'key value deleted version';

export const SYNC = `mutation Sync($input: SyncInput!) {
  sync(input: $input) {
    __typename
    ... on SyncApplied {
      checkpoint hasMore
      records { ${RECORD} }
      results { key status code record { ${RECORD} } }
    }
    ... on SyncConflicted {
      checkpoint hasMore
      records { ${RECORD} }
      conflicts { key current { ${RECORD} } }
    }
    ... on ResyncRequired { reason }
  }
}`;

export const CHANGES = `query Changes($dataset: DatasetRef!, $since: Checkpoint!) {
  changes(dataset: $dataset, since: $since, first: 500) {
    __typename
    ... on ChangePage { checkpoint hasMore records { ${RECORD} } }
    ... on ResyncRequired { reason }
  }
}`;

export const DATASET_CHANGES = `subscription DatasetChanges($dataset: DatasetRef!, $since: Checkpoint!) {
  datasetChanges(dataset: $dataset, since: $since) {
    __typename
    ... on Ready { resumed }
    ... on Commit { previous checkpoint version records { ${RECORD} } }
    ... on ResyncRequired { reason }
    ... on DatasetDeleted { datasetId }
    ... on AccessEnded { datasetId }
  }
}`;

export const DELETE_DATASET = `mutation DeleteDataset($dataset: DatasetRef!) {
  deleteDataset(dataset: $dataset) { datasetId }
}`;
