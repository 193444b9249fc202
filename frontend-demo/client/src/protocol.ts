/** What is said to the server and heard from it: a part of `schema.graphql`, which a test holds it to. */

import type { ConflictPolicy } from './edits.ts';
import type { Outcome, ResyncReason } from './outbox.ts';
import type { RemoteRecord } from './records.ts';
import type { Role } from './replica.ts';

/** A dataset by id, or by a name among the identity's own. */
export type DatasetRef = { readonly name: string } | { readonly id: string };

export interface DatasetInfo {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly ownerId: string;
  readonly version: number;
  readonly conflictPolicy: ConflictPolicy;
}

type DatasetFacts = Pick<DatasetInfo, 'id' | 'role' | 'conflictPolicy'>;

export interface Page {
  readonly records: readonly RemoteRecord[];
  readonly checkpoint: string;
  readonly hasMore: boolean;
}

export interface ResyncRequired {
  readonly __typename: 'ResyncRequired';
  readonly reason: ResyncReason;
}

export interface SyncApplied extends Page {
  readonly __typename: 'SyncApplied';
  readonly dataset: DatasetFacts;
  readonly results: readonly Outcome[];
}

export interface SyncConflicted extends Page {
  readonly __typename: 'SyncConflicted';
  readonly dataset: DatasetFacts;
  readonly conflicts: readonly { readonly key: string; readonly current: RemoteRecord | null }[];
}

export interface SyncData {
  readonly sync: SyncApplied | SyncConflicted | ResyncRequired;
}

export interface PullData {
  readonly dataset: DatasetFacts | null;
  readonly changes: (Page & { readonly __typename: 'ChangePage' }) | ResyncRequired;
}

export interface Commit {
  readonly __typename: 'Commit';
  readonly datasetId: string;
  readonly previous: string;
  readonly checkpoint: string;
  readonly version: number;
  readonly records: readonly RemoteRecord[];
}

export interface ChangesData {
  readonly datasetChanges:
    | { readonly __typename: 'Ready'; readonly resumed: boolean }
    | Commit
    | ResyncRequired
    | { readonly __typename: 'DatasetDeleted'; readonly datasetId: string }
    | { readonly __typename: 'AccessEnded' };
}

export interface ViewerData {
  readonly viewer: {
    readonly identityId: string;
    readonly deviceId: string | null;
    readonly guest: boolean;
    readonly limits: { readonly changesPerSync: number };
  };
}

const RECORD = 'fragment R on Record{key value deleted version updatedBy{identityId deviceId}}';
const FACTS = 'id role conflictPolicy';
export const INFO = `{${FACTS} name ownerId version}`;
const PAGE = 'checkpoint hasMore records{...R}';
const RESYNC = '...on ResyncRequired{reason}';

export const SYNC = `mutation Sync($input:SyncInput!){sync(input:$input){__typename
...on SyncApplied{dataset{${FACTS}}results{key status code details record{...R}}${PAGE}}
...on SyncConflicted{dataset{${FACTS}}conflicts{key current{...R}}${PAGE}}${RESYNC}}}${RECORD}`;

export const PULL = `query Pull($dataset:DatasetRef!,$since:Checkpoint!){dataset(dataset:$dataset){${FACTS}}
changes(dataset:$dataset,since:$since){__typename ...on ChangePage{${PAGE}}${RESYNC}}}${RECORD}`;

export const CHANGES = `subscription Changes($dataset:DatasetRef!,$since:Checkpoint){datasetChanges(dataset:$dataset,since:$since){__typename
...on Ready{resumed}...on Commit{datasetId previous checkpoint version records{...R}}
${RESYNC}...on DatasetDeleted{datasetId}}}${RECORD}`;

export const VIEWER = 'query Viewer{viewer{identityId deviceId guest limits{changesPerSync}}}';
