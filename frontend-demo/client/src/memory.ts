import { SynclineError } from './errors.ts';
import { EMPTY, patched, type Replica } from './replica.ts';
import type { Storage, Store } from './storage.ts';
import { unlessAborted } from './waiting.ts';

/** Kept for as long as this object is: for Node, and for tests. Clients that share it are like tabs of one browser. */
export function memory(): Storage {
  const replicas = new Map<string, Replica>();
  const claims = new Map<string, string>();
  const open = new Set<MemoryStore>();
  const locks = new Map<string, Promise<unknown>>();

  class MemoryStore implements Store {
    onMessage: ((message: unknown) => void) | undefined;
    #closed = new AbortController();

    load(dataset: string): Promise<Replica> {
      return this.#answer(() => replicas.get(dataset) ?? EMPTY);
    }

    write(dataset: string, patch: Parameters<Store['write']>[1]): Promise<boolean> {
      return this.#answer(() => {
        const before = replicas.get(dataset) ?? EMPTY;
        const fits = before.revision === patch.revision - 1;
        if (fits) {
          replicas.set(dataset, structuredClone(patched(before, patch)));
        }
        return fits;
      });
    }

    claim(name: string, value: string): Promise<string> {
      return this.#answer(() => {
        claims.set(name, claims.get(name) ?? value);
        return claims.get(name)!;
      });
    }

    lock<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
      const before = locks.get(name) ?? Promise.resolve();
      const mine = unlessAborted(signal, before).then(work);
      // Who waits behind this one also waits for those before it; a store that is closed holds no lock.
      locks.set(name, Promise.allSettled([before, unlessAborted(this.#closed.signal, mine)]));
      return mine;
    }

    post(message: unknown): void {
      const copy = structuredClone(message);
      for (const other of open) {
        if (other !== this && open.has(this)) {
          setTimeout(() => open.has(other) && other.onMessage?.(copy));
        }
      }
    }

    close(): void {
      open.delete(this);
      this.#closed.abort();
    }

    async #answer<T>(work: () => T): Promise<T> {
      await undefined;
      if (this.#closed.signal.aborted) {
        throw new SynclineError('STORE_UNUSABLE', 'the store is closed');
      }
      return work();
    }
  }

  return {
    open: async () => {
      const store = new MemoryStore();
      open.add(store);
      return store;
    },
  };
}
