/** A dataset on the server, as the contract describes it and as plainly as can be: what the pure part is held against. */

import { isDeepStrictEqual } from 'node:util';
import type { Json, JsonObject } from '../../src/index.ts';
import type { Outcome } from '../../src/outbox.ts';
import { coveredVersion, type Delta, type RemoteRecord } from '../../src/records.ts';
import { START } from '../../src/replica.ts';

/** One change that was committed. Without a value there was, or is, no record. */
export interface Commit {
  readonly key: string;
  readonly version: number;
  readonly device: string;
  readonly before: Json | undefined;
  readonly after: Json | undefined;
  readonly change: JsonObject;
}

export interface Answer {
  /** None: an atomic sync with conflicts, of which nothing was done. */
  readonly outcomes: readonly Outcome[] | undefined;
  readonly conflicts: readonly { readonly key: string; readonly current: RemoteRecord | null }[];
}

type Row = { value: Json | undefined; version: number; device: string };

/** A put whose value has this in it is refused. */
export const REFUSED = 'refused';

export class ModelServer {
  readonly commits: Commit[] = [];
  #rows = new Map<string, Row>();
  #version = 0;
  /** Checkpoints before it are refused: the tombstones up to it are gone. */
  #pruned = 0;
  readonly #receipts = new Map<string, Answer>();
  readonly #lastWriterWins: boolean;

  constructor({ lastWriterWins }: { lastWriterWins: boolean }) {
    this.#lastWriterWins = lastWriterWins;
  }

  value(key: string): Json | undefined {
    return this.#rows.get(key)?.value;
  }

  /** Keys and values of the records that there are. */
  entries(): [string, Json][] {
    return [...this.#rows].flatMap(([key, { value }]) => (value === undefined ? [] : [[key, value] as [string, Json]]));
  }

  /** Forget what was removed: who was away for so long has to start over. */
  prune(): void {
    this.#pruned = this.#version;
    for (const [key, { value }] of this.#rows) {
      if (value === undefined) {
        this.#rows.delete(key);
      }
    }
  }

  sync(device: string, mutationId: string, changes: readonly JsonObject[], atomic: boolean): Answer {
    const known = this.#receipts.get(mutationId);
    return known ? this.#anew(known) : this.#commit(device, mutationId, changes, atomic);
  }

  /** The outcome of then, with the records of now. */
  #anew({ outcomes, conflicts }: Answer): Answer {
    return {
      outcomes: outcomes?.map((outcome) => ({ ...outcome, record: this.#remote(outcome.key) })),
      conflicts: conflicts.map(({ key }) => ({ key, current: this.#remote(key) })),
    };
  }

  #commit(device: string, mutationId: string, changes: readonly JsonObject[], atomic: boolean): Answer {
    const [rows, version] = [new Map(this.#rows), this.#version + 1];
    const commits: Commit[] = [];
    const outcomes = changes.map((change) => this.#apply(change, device, version, rows, commits));
    const conflicts = outcomes.filter(({ status }) => status === 'CONFLICT').map(({ key }) => ({ key, current: this.#remote(key) }));
    const refused = atomic && conflicts.length > 0;
    if (commits.length && !refused) {
      this.#rows = rows;
      this.#version = version;
      this.commits.push(...commits);
    }
    const answer = this.#anew(refused ? { outcomes: undefined, conflicts } : { outcomes, conflicts: [] });
    this.#receipts.set(mutationId, answer);
    return answer;
  }

  /** The next page of what is missing at a checkpoint; `undefined`: the device has to start over. */
  pull(since: string, pageSize: number): Delta | undefined {
    // A pull in pages goes on as long as nothing was forgotten since its first one.
    const [from, begun] = since === START ? [0, this.#version] : (JSON.parse(since) as [number, number]);
    if (begun < this.#pruned) {
      return undefined;
    }
    const missing = [...this.#rows.keys()]
      .map((key) => this.#remote(key)!)
      .filter((record) => record.version > from)
      .sort((a, b) => a.version - b.version);
    let end = missing.length <= pageSize ? missing.length : pageSize;
    while (end < missing.length && missing[end]!.version === missing[end - 1]!.version) {
      end++;
    }
    const records = missing.slice(0, end);
    const complete = end === missing.length;
    const stands = complete ? this.#version : records.at(-1)!.version;
    const checkpoint = JSON.stringify([stands, complete ? stands : begun]);
    return { since, checkpoint, records, complete, version: coveredVersion(records, complete) };
  }

  #remote(key: string): RemoteRecord | null {
    const row = this.#rows.get(key);
    return row
      ? {
          key,
          value: row.value ?? null,
          deleted: row.value === undefined,
          version: row.version,
          updatedBy: { identityId: 'alice', deviceId: row.device },
        }
      : null;
  }

  #apply(change: JsonObject, device: string, version: number, rows: Map<string, Row>, commits: Commit[]): Outcome {
    const [[operation, body]] = Object.entries(change) as [[string, JsonObject]];
    const key = body['key'] as string;
    const row = rows.get(key);
    const before = row?.value;
    const after = result(operation, body, before);
    const outcome = (status: Outcome['status'], code: string | null = null): Outcome => ({
      key,
      status,
      code,
      details: null,
      record: this.#remote(key),
    });
    if (isDeepStrictEqual(before, after)) {
      return outcome('UNCHANGED');
    }
    if (operation === 'put' && JSON.stringify(after).includes(REFUSED)) {
      return outcome('REJECTED', 'LIMIT_EXCEEDED');
    }
    if ('base' in body && !this.#lastWriterWins && !this.#holds(body['base'] as JsonObject, key, row, device, version)) {
      return outcome('CONFLICT');
    }
    rows.set(key, { value: after, version, device });
    commits.push({ key, version, device, before, after, change });
    return outcome('APPLIED');
  }

  /** Whether the record is as the device saw it, or only this device wrote it since. */
  #holds(base: JsonObject, key: string, row: Row | undefined, device: string, version: number): boolean {
    if (row?.version === version) {
      return true;
    }
    if ('absent' in base) {
      return row?.value === undefined;
    }
    if ('value' in base) {
      return isDeepStrictEqual(row?.value, (base['value'] as JsonObject)['json']);
    }
    const seen = base['version'] as number;
    const since = this.commits.filter((commit) => commit.key === key && commit.version > seen);
    return row !== undefined && row.value !== undefined && since.every((commit) => commit.device === device);
  }
}

/** What an operation makes of a value, written down once more. Throws a RangeError if it does not fit it. */
export function result(operation: string, body: JsonObject, before: Json | undefined): Json | undefined {
  switch (operation) {
    case 'put':
      return body['value'];
    case 'remove':
      return undefined;
    case 'merge':
      return merged(before, body['patch']!);
    case 'increment':
      return fitting(before ?? 0, 'number') + (body['by'] as number);
    case 'max':
    case 'min': {
      const value = body['value'] as number | string;
      if (before === undefined) {
        return value;
      }
      const kept = fitting(before, typeof value as 'number');
      return (operation === 'max') === comesBefore(kept, value) ? value : kept;
    }
    case 'addToSet':
      return (body['members'] as Json[]).reduce<Json[]>((set, member) => (has(set, member) ? set : [...set, member]), list(before));
    case 'removeFromSet':
      return before === undefined ? undefined : list(before).filter((item) => !has(body['members'] as Json[], item));
    default:
      throw new Error(`there is no ${operation}`);
  }
}

const has = (items: readonly Json[], wanted: Json): boolean => items.some((item) => isDeepStrictEqual(item, wanted));

function fitting(value: Json, type: 'number'): number {
  if (typeof value !== type) {
    throw new RangeError(`no ${type}`);
  }
  return value as number;
}

function list(value: Json | undefined): Json[] {
  if (value !== undefined && !Array.isArray(value)) {
    throw new RangeError('no array');
  }
  return [...((value as Json[] | undefined) ?? [])];
}

/** By their code points, if they are texts. */
function comesBefore(a: number | string, b: number | string): boolean {
  if (typeof a === 'number' || typeof b === 'number') {
    return a < b;
  }
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;
}

/** https://www.rfc-editor.org/rfc/rfc7396#section-2 */
function merged(target: Json | undefined, patch: Json): Json {
  if (!isPlainObject(patch)) {
    return patch;
  }
  const [fields, patches] = [isPlainObject(target) ? target : {}, patch].map((object) => new Map(Object.entries(object)));
  return Object.fromEntries(
    [...new Set([...fields!.keys(), ...patches!.keys()])]
      .filter((name) => patches!.get(name) !== null)
      .map((name) => [name, patches!.has(name) ? merged(fields!.get(name), patches!.get(name)!) : fields!.get(name)!]),
  );
}

const isPlainObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
