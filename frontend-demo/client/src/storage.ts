/** What a device keeps, and how tabs that share it come to terms. */

import type { Patch, Replica } from './replica.ts';

/** Opens a device's store. One storage is one device of one identity. */
export interface Storage {
  open(): Promise<Store>;
}

export interface Store {
  /** All that is kept of a dataset. */
  load(dataset: string): Promise<Replica>;
  /** Durable when it resolves, all of it or nothing. False: the dataset's revision is not the one before the patch's. */
  write(dataset: string, patch: Patch): Promise<boolean>;
  /** What is kept under a name for good: `value`, unless something was there already. */
  claim(name: string, value: string): Promise<string>;
  /** Do `work` while no other tab (or client on this storage) holds the lock. Rejects if `signal` fires while waiting. */
  lock<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** Tell all others that have this storage open. */
  post(message: unknown): void;
  /** Be told by them. */
  onMessage: ((message: unknown) => void) | undefined;
  /** Let go of everything. Locks are free again. */
  close(): void;
}
