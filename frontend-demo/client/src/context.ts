/** What a client shares between its datasets. */

import type { Link } from './link.ts';
import type { DatasetRef } from './protocol.ts';
import type { Store } from './storage.ts';

/** What happens underneath: `kind`, the dataset it is about, and the facts of its kind. */
export interface Trace {
  readonly kind:
    | 'connected'
    | 'disconnected'
    | 'ready'
    | 'push'
    | 'pushed'
    | 'commit'
    | 'pulled'
    | 'conflict'
    | 'parked'
    | 'resync'
    | 'deleted'
    | 'access ended';
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly dataset?: string;
  readonly [fact: string]: unknown;
}

export interface Session {
  readonly identityId: string;
  readonly deviceId: string | null;
  readonly guest: boolean;
  readonly changesPerSync: number;
}

export interface Context {
  readonly store: Store;
  readonly link: Link;
  readonly automatic: boolean;
  readonly debounce: number;
  /** Fires when the client is closed. */
  readonly closing: AbortSignal;
  /** Who the server says this is. Rejects with STORE_BELONGS_TO_ANOTHER if the storage is not its. */
  session(): Promise<Session>;
  trace(kind: Trace['kind'], dataset: string | undefined, facts?: Readonly<Record<string, unknown>>): void;
}

/** How a dataset is named in the storage: no name has a space. */
export const localKey = (ref: DatasetRef): string => ('name' in ref ? ref.name : `id ${ref.id}`);

export const now = (): string => new Date().toISOString();

export const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
