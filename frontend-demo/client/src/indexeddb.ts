import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { Edit } from './edits.ts';
import { SynclineError } from './errors.ts';
import { EMPTY, type Patch, type Replica, type SyncedRecord } from './replica.ts';
import type { Storage, Store } from './storage.ts';
import { unlessAborted } from './waiting.ts';

const VERSION = 1;
/** What a dataset is kept in. */
const TABLES = ['heads', 'records', 'edits'] as const;

interface Schema extends DBSchema {
  heads: { key: string; value: Pick<Replica, 'revision' | 'head' | 'batch'> };
  records: { key: [string, string]; value: SyncedRecord };
  edits: { key: [string, number]; value: Edit };
  claims: { key: string; value: string };
}

/** Kept in the browser, under a name: one for each device of each identity. */
export const indexedDb = (name = 'syncline'): Storage => ({
  open: async () => {
    const channel = new BroadcastChannel(name);
    const store = new IndexedDbStore(name, channel, await usable(() => opened(name, () => store.close())));
    return store;
  },
});

const opened = (name: string, onNewer: () => void): Promise<IDBPDatabase<Schema>> =>
  openDB<Schema>(name, VERSION, {
    upgrade: (database) => {
      for (const table of [...TABLES, 'claims'] as const) {
        database.createObjectStore(table);
      }
    },
    // A newer version of the app wants to upgrade it, or the user removes it.
    blocking: onNewer,
  });

async function usable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const { name, message } = cause as Error;
    const tooNew = name === 'VersionError';
    throw new SynclineError(tooNew ? 'STORE_TOO_NEW' : 'STORE_UNUSABLE', `the storage: ${message}`, false, { reason: name });
  }
}

/** All rows of a dataset: an array is behind every text and number. */
const rowsOf = (dataset: string): IDBKeyRange => IDBKeyRange.bound([dataset], [dataset, []]);

class IndexedDbStore implements Store {
  onMessage: ((message: unknown) => void) | undefined;
  readonly #name: string;
  readonly #channel: BroadcastChannel;
  readonly #database: IDBPDatabase<Schema>;
  readonly #closed = new AbortController();

  constructor(name: string, channel: BroadcastChannel, database: IDBPDatabase<Schema>) {
    this.#name = name;
    this.#channel = channel;
    this.#database = database;
    channel.onmessage = ({ data }) => this.onMessage?.(data);
  }

  load(dataset: string): Promise<Replica> {
    return usable(async () => {
      const transaction = this.#database.transaction(TABLES);
      const [kept, records, edits] = await Promise.all([
        transaction.objectStore('heads').get(dataset),
        transaction.objectStore('records').getAll(rowsOf(dataset)),
        transaction.objectStore('edits').getAll(rowsOf(dataset)),
      ]);
      return { ...EMPTY, ...kept, records: new Map(records.map((record) => [record.key, record])), edits };
    });
  }

  write(dataset: string, { revision, head, batch, records, edits }: Patch): Promise<boolean> {
    return usable(async () => {
      const transaction = this.#database.transaction(TABLES, 'readwrite', { durability: 'strict' });
      const table = <Name extends (typeof TABLES)[number]>(name: Name) => transaction.objectStore(name);
      const before = await table('heads').get(dataset);
      if ((before?.revision ?? 0) !== revision - 1) {
        await transaction.done;
        return false;
      }
      // What fails makes the transaction fail.
      void table('heads').put({ revision, head, batch }, dataset);
      for (const [key, record] of records) {
        void (record ? table('records').put(record, [dataset, key]) : table('records').delete([dataset, key]));
      }
      for (const [id, edit] of edits) {
        void (edit ? table('edits').put(edit, [dataset, id]) : table('edits').delete([dataset, id]));
      }
      // It does not wait for what was asked of it any more: the page may be gone by then.
      transaction.commit();
      await transaction.done;
      return true;
    });
  }

  claim(name: string, value: string): Promise<string> {
    return usable(async () => {
      const { store, done } = this.#database.transaction('claims', 'readwrite', { durability: 'strict' });
      const held = (await store.get(name)) ?? value;
      await Promise.all([store.put(held, name), done]);
      return held;
    });
  }

  lock<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const either = AbortSignal.any([signal, this.#closed.signal]);
    // The lock of a store that was closed is free, whatever is still under way.
    return navigator.locks.request(`${this.#name} ${name}`, { signal: either }, () =>
      unlessAborted(this.#closed.signal, work()),
    ) as Promise<T>;
  }

  post(message: unknown): void {
    if (!this.#closed.signal.aborted) {
      this.#channel.postMessage(message);
    }
  }

  close(): void {
    this.#closed.abort();
    this.#channel.close();
    this.#database.close();
  }
}
