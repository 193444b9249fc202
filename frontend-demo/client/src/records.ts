/** The steps by which synced records and the checkpoint move. Pure; they move in one write. */

import type { ConflictPolicy } from './edits.ts';
import { Draft, START, type Author, type Role, type SyncedRecord } from './replica.ts';
import type { Json } from './json.ts';

/** A record as it comes from the server. */
export interface RemoteRecord {
  readonly key: string;
  readonly value: Json;
  readonly deleted: boolean;
  readonly version: number;
  readonly updatedBy: Author;
}

/** What leads from the checkpoint `since` to `checkpoint`. `complete`: to all there was, not to a page's end. */
export interface Delta {
  readonly since: string;
  readonly checkpoint: string;
  readonly records: readonly RemoteRecord[];
  readonly complete: boolean;
  /** Every commit up to it is in this delta or before it. */
  readonly version: number;
  readonly dataset?: { readonly id: string; readonly conflictPolicy?: ConflictPolicy; readonly role?: Role } | null | undefined;
}

/** What a page of the log says of the commits before its last one, which it may hold in part. */
export function coveredVersion(records: readonly RemoteRecord[], complete: boolean): number {
  const last = Math.max(0, ...records.map(({ version }) => version));
  return complete ? last : Math.max(0, last - 1);
}

/**
 * Take in a delta; the answer is how many records were news. `undefined`: the copy does not stand at its `since`, and
 * nothing was taken in, because another pull was faster.
 */
export function take(draft: Draft, delta: Delta): number | undefined {
  const { head } = draft;
  if (head.checkpoint !== delta.since) {
    return undefined;
  }
  const news = learn(draft, delta.records);
  draft.head = {
    ...draft.head,
    checkpoint: delta.checkpoint,
    version: Math.max(head.version, delta.version),
    id: delta.dataset?.id ?? head.id,
    policy: delta.dataset?.conflictPolicy ?? head.policy,
    role: delta.dataset?.role ?? head.role,
  };
  if (delta.complete) {
    finishResync(draft);
  }
  return news;
}

/** Take in states that are newer than those held, without moving the checkpoint; how many were. */
export function learn(draft: Draft, records: Iterable<RemoteRecord>): number {
  const { generation } = draft.head;
  let news = 0;
  for (const { key, value, deleted, version, updatedBy } of records) {
    const held = draft.records.get(key);
    if (held === undefined || version > held.version || generation > held.generation) {
      const record: SyncedRecord = { key, version, author: updatedBy, generation, ...(deleted ? {} : { value }) };
      draft.setRecord(key, record);
      news++;
    }
  }
  return news;
}

/** Stand at the start again. What is held stays to be read until it is confirmed, or found gone. */
export function beginResync(draft: Draft): void {
  const { head } = draft;
  draft.head = { ...head, checkpoint: START, version: 0, id: undefined, generation: head.generation + 1, resyncing: true };
}

/** The dataset is gone: stand at the start, with no records. */
export function clear(draft: Draft): void {
  beginResync(draft);
  finishResync(draft);
}

function finishResync(draft: Draft): void {
  if (draft.head.resyncing) {
    for (const { key, generation } of draft.records.values()) {
      if (generation < draft.head.generation) {
        draft.setRecord(key, undefined);
      }
    }
    draft.head = { ...draft.head, resyncing: false };
  }
}
