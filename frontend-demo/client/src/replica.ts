/** What a device holds of one dataset, as a value; and `Draft`, by which each step makes the next one of it. */

import { applied, overlaid, type ConflictPolicy, type Edit } from './edits.ts';
import { frozen, type Json, type JsonObject } from './json.ts';
import { compare } from './operations.ts';

/** The checkpoint of a device that has nothing. */
export const START = 'start';

export type Role = 'OWNER' | 'EDITOR' | 'VIEWER';

export interface Author {
  readonly identityId: string;
  readonly deviceId: string | null;
}

/** A record as the server told it. No `value`: deleted. */
export interface SyncedRecord {
  readonly key: string;
  readonly value?: Json | undefined;
  readonly version: number;
  readonly author?: Author | undefined;
  readonly generation: number;
}

/** Where the local copy stands. `version`: every commit up to it is held. */
export interface Head {
  readonly checkpoint: string;
  readonly version: number;
  readonly id?: string | undefined;
  readonly policy?: ConflictPolicy | undefined;
  readonly role?: Role | undefined;
  /** Raised by each resync: records of an older one are shown until they are confirmed or found gone. */
  readonly generation: number;
  readonly resyncing: boolean;
  readonly nextEdit: number;
}

/** A push that was begun: these changes go under this id, and no others, until its outcome is known. */
export interface Batch {
  readonly mutationId: string;
  readonly changes: readonly JsonObject[];
  /** What was sent under the id before the log's epoch changed: if the log knows the id, it is for these. */
  readonly earlierChanges?: readonly JsonObject[] | undefined;
  readonly atomic: boolean;
}

export interface Replica {
  /** Raised by each write of the storage. */
  readonly revision: number;
  readonly head: Head;
  readonly batch: Batch | undefined;
  readonly records: ReadonlyMap<string, SyncedRecord>;
  /** In the order they were made. */
  readonly edits: readonly Edit[];
}

export const EMPTY: Replica = {
  revision: 0,
  head: { checkpoint: START, version: 0, generation: 0, resyncing: false, nextEdit: 1 },
  batch: undefined,
  records: new Map(),
  edits: [],
};

/** What one write changes: the rows that are other ones now; without a value, those that are gone. */
export interface Patch {
  readonly revision: number;
  readonly head: Head;
  readonly batch: Batch | undefined;
  readonly records: readonly (readonly [string, SyncedRecord | undefined])[];
  readonly edits: readonly (readonly [number, Edit | undefined])[];
}

/** The replica after a patch that was made of it. */
export function patched(replica: Replica, { revision, head, batch, records, edits }: Patch): Replica {
  const draft = new Draft({ ...replica, head, batch });
  for (const [key, record] of records) {
    draft.setRecord(key, record);
  }
  for (const [id, edit] of edits) {
    draft.setEdit(id, edit);
  }
  return { ...draft.replica, revision };
}

const views = new WeakMap<Replica, ReadonlyMap<string, Json>>();

/** All records as the user sees them, in the order of their keys. */
export function view(replica: Replica): ReadonlyMap<string, Json> {
  let known = views.get(replica);
  if (known === undefined) {
    const values = new Map<string, Json | undefined>();
    for (const { key, value } of replica.records.values()) {
      values.set(key, value);
    }
    for (const edit of replica.edits) {
      if (edit.state !== 'parked') {
        values.set(edit.key, applied(edit, values.get(edit.key)));
      }
    }
    const seen = [...values].filter((entry): entry is [string, Json] => entry[1] !== undefined);
    known = new Map(seen.sort(([a], [b]) => compare(a, b)).map(([key, value]) => [key, frozen(value)]));
    views.set(replica, known);
  }
  return known;
}

/** One record as the user sees it. */
export const viewOf = (replica: Replica, key: string): Json | undefined =>
  frozen(overlaid(replica.records.get(key)?.value, replica.edits.filter((edit) => edit.key === key)));

/** A replica in the making. It copies what it changes, and remembers which rows those were. */
export class Draft {
  head: Head;
  batch: Batch | undefined;
  #records: ReadonlyMap<string, SyncedRecord>;
  #edits: readonly Edit[];
  readonly #start: Replica;
  readonly #recordsSet = new Map<string, SyncedRecord | undefined>();
  readonly #editsSet = new Map<number, Edit | undefined>();

  constructor(start: Replica) {
    this.#start = start;
    ({ head: this.head, batch: this.batch, records: this.#records, edits: this.#edits } = start);
  }

  get records(): ReadonlyMap<string, SyncedRecord> {
    return this.#records;
  }

  get edits(): readonly Edit[] {
    return this.#edits;
  }

  editsOf(key: string): readonly Edit[] {
    return this.#edits.filter((edit) => edit.key === key);
  }

  setRecord(key: string, record: SyncedRecord | undefined): void {
    if (this.#recordsSet.size === 0) {
      this.#records = new Map(this.#records);
    }
    this.#recordsSet.set(key, record);
    const records = this.#records as Map<string, SyncedRecord>;
    if (record === undefined) {
      records.delete(key);
    } else {
      records.set(key, record);
    }
  }

  addEdit(edit: Omit<Edit, 'id'>): void {
    const id = this.head.nextEdit;
    this.head = { ...this.head, nextEdit: id + 1 };
    this.setEdit(id, { ...edit, id });
  }

  save(edit: Edit): void {
    this.setEdit(edit.id, edit);
  }

  drop(edits: readonly Edit[]): void {
    for (const { id } of edits) {
      this.setEdit(id, undefined);
    }
  }

  setEdit(id: number, edit: Edit | undefined): void {
    this.#editsSet.set(id, edit);
    const at = this.#edits.findIndex((other) => other.id >= id);
    const [index, replaced] = at < 0 ? [this.#edits.length, 0] : [at, this.#edits[at]!.id === id ? 1 : 0];
    this.#edits = this.#edits.toSpliced(index, replaced, ...(edit === undefined ? [] : [edit]));
  }

  /** Do a step; if it throws, nothing of it is done. */
  attempt<T>(step: (draft: Draft) => T): T {
    const inner = new Draft(this.replica);
    const answer = step(inner);
    inner.#recordsSet.forEach((record, key) => this.setRecord(key, record));
    inner.#editsSet.forEach((edit, id) => this.setEdit(id, edit));
    ({ head: this.head, batch: this.batch } = inner);
    return answer;
  }

  get replica(): Replica {
    const { head, batch, records, edits } = this;
    return { ...this.#start, head, batch, records, edits };
  }

  /** What leads from the start to here, unless it is the same. */
  get patch(): Patch | undefined {
    const { head, batch } = this;
    const [records, edits] = [[...this.#recordsSet], [...this.#editsSet]];
    const changed = records.length > 0 || edits.length > 0 || head !== this.#start.head || batch !== this.#start.batch;
    return changed ? { revision: this.#start.revision + 1, head, batch, records, edits } : undefined;
  }
}
