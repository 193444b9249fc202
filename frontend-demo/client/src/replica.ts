/** What a device holds of one dataset, as a value; and `Draft`, by which each step makes the next one of it. */

import { applied, overlaid, type ConflictPolicy, type Edit } from './edits.ts';
import { frozen, type Json, type JsonObject } from './json.ts';
import { order } from './operations.ts';

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

/** What leads from one to the other, if there is anything. Rows that are the same objects are the same. */
export function difference(before: Replica, after: Replica): Patch | undefined {
  const records = changed(before.records.values(), after.records.values(), ({ key }) => key);
  const edits = changed(before.edits, after.edits, ({ id }) => id);
  const { head, batch } = after;
  return records.length || edits.length || head !== before.head || batch !== before.batch
    ? { revision: before.revision + 1, head, batch, records, edits }
    : undefined;
}

/** Those that are gone come first: what replaces them comes later. */
function changed<Row, Key>(before: Iterable<Row>, after: Iterable<Row>, keyOf: (row: Row) => Key): [Key, Row | undefined][] {
  const [old, now] = [new Set(before), new Set(after)];
  return [
    ...[...old].filter((row) => !now.has(row)).map((row): [Key, undefined] => [keyOf(row), undefined]),
    ...[...now].filter((row) => !old.has(row)).map((row): [Key, Row] => [keyOf(row), row]),
  ];
}

/** The replica after a patch that was made of it. */
export function patched(replica: Replica, { revision, head, batch, records, edits }: Patch): Replica {
  const draft = new Draft({ ...replica, revision, head, batch });
  records.forEach(([key, record]) => draft.setRecord(key, record));
  edits.forEach(([id, edit]) => draft.setEdit(id, edit));
  return draft.replica;
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
    const seen = [...values].flatMap(([key, value]) => (value === undefined ? [] : [[order(key), key, frozen(value)] as const]));
    known = new Map(seen.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, key, value]) => [key, value]));
    views.set(replica, known);
  }
  return known;
}

/** One record as the user sees it. */
export const viewOf = (replica: Replica, key: string): Json | undefined =>
  frozen(overlaid(replica.records.get(key)?.value, replica.edits.filter((edit) => edit.key === key)));

/** A replica in the making: it copies what it changes. */
export class Draft {
  head: Head;
  batch: Batch | undefined;
  records: ReadonlyMap<string, SyncedRecord>;
  /** In the order of their ids. */
  edits: readonly Edit[];
  readonly #start: Replica;

  constructor(start: Replica) {
    this.#start = start;
    ({ head: this.head, batch: this.batch, records: this.records, edits: this.edits } = start);
  }

  get replica(): Replica {
    const { head, batch, records, edits } = this;
    return { revision: this.#start.revision, head, batch, records, edits };
  }

  /** Do a step; if it throws, nothing of it is done. */
  attempt<T>(step: (draft: Draft) => T): T {
    const inner = new Draft(this.replica);
    const answer = step(inner);
    Object.assign(this, inner);
    return answer;
  }

  setRecord(key: string, record: SyncedRecord | undefined): void {
    if (this.records === this.#start.records) {
      this.records = new Map(this.records);
    }
    const records = this.records as Map<string, SyncedRecord>;
    if (record) {
      records.set(key, record);
    } else {
      records.delete(key);
    }
  }

  editsOf(key: string): readonly Edit[] {
    return this.edits.filter((edit) => edit.key === key);
  }

  addEdit(edit: Omit<Edit, 'id'>): void {
    const id = this.head.nextEdit;
    this.head = { ...this.head, nextEdit: id + 1 };
    this.edits = [...this.edits, { ...edit, id }];
  }

  save(edit: Edit): void {
    this.setEdit(edit.id, edit);
  }

  drop(edits: readonly Edit[]): void {
    edits.forEach(({ id }) => this.setEdit(id, undefined));
  }

  setEdit(id: number, edit: Edit | undefined): void {
    const others = this.edits.filter((other) => other.id !== id);
    this.edits = edit ? [...others, edit].sort((a, b) => a.id - b.id) : others;
  }
}
