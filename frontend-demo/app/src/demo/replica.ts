/**
 * The device's copy of the server's records, and how far it goes.
 *
 * Records are applied only where they lead on from the checkpoint, so the copy is always what the server had at it.
 */

import type { Checkpoint, Commit, Json, Page, RemoteRecord } from './protocol.ts';
import { START } from './protocol.ts';

export interface Replica {
  readonly checkpoint: Checkpoint;
  /** At least the version of the dataset at the checkpoint that is known for sure; 0 at the start. */
  readonly version: number;
  readonly values: { readonly [key: string]: Json };
}

export const EMPTY: Replica = { checkpoint: START, version: 0, values: {} };

export type Reception = { readonly kind: 'applied'; readonly replica: Replica } | { readonly kind: 'known' | 'gap' };

/** A commit is applied if it leads on from here. If it does not, it is known already, or something was missed. */
export function received(replica: Replica, commit: Commit): Reception {
  // At the start there is nothing that it could fail to lead on from: the stream was begun from the start too.
  if (commit.previous === replica.checkpoint || replica.checkpoint === START) {
    return { kind: 'applied', replica: withRecords(replica, commit.records, commit.checkpoint, commit.version) };
  }
  return { kind: commit.version <= replica.version ? 'known' : 'gap' };
}

/** The page of a pull from `since`; null if the replica has moved on from there, so that the page leads nowhere. */
export function pulled(replica: Replica, since: Checkpoint, page: Page): Replica | null {
  return since === replica.checkpoint ? withRecords(replica, page.records, page.checkpoint, 0) : null;
}

function withRecords(
  replica: Replica,
  records: readonly RemoteRecord[],
  checkpoint: Checkpoint,
  version: number,
): Replica {
  const values = { ...replica.values };
  for (const record of records) {
    if (record.deleted) {
      delete values[record.key];
    } else {
      values[record.key] = record.value;
    }
  }
  return { checkpoint, version: Math.max(replica.version, version, ...records.map((each) => each.version)), values };
}
