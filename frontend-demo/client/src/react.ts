/** React hooks: they render again when their answer changes. */

import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import type { Client } from './client.ts';
import type { Dataset, DatasetOptions } from './dataset.ts';
import type { Edit } from './edits.ts';
import { same, type Json } from './json.ts';
import type { LinkStatus } from './link.ts';
import type { DatasetStatus } from './live.ts';
import type { Presence, Present } from './presence.ts';
import type { Role } from './replica.ts';
import type { Conflict } from './synchronize.ts';

/** The dataset; `undefined` until it is open. `options` count for the first who opens it. */
export function useDataset(
  client: Client | undefined,
  ref: string | { readonly id: string } | undefined,
  options?: DatasetOptions,
): Dataset | undefined {
  const [dataset, setDataset] = useState<Dataset>();
  const [failed, setFailed] = useState<unknown>();
  const key = typeof ref === 'string' ? ref : ref && `id ${ref.id}`;
  useEffect(() => {
    let current = true;
    setDataset(undefined);
    if (client && ref !== undefined) {
      client.dataset(ref, options).then(
        (open) => current && setDataset(open),
        (error: unknown) => current && setFailed(error),
      );
    }
    return () => {
      current = false;
    };
    // The options are those of the first call.
  }, [client, key]);
  if (failed !== undefined) {
    throw failed;
  }
  return dataset;
}

/** What `read` answers, until a change makes it another. `same` decides whether it is. */
function useRead<T>(dataset: Dataset | undefined, read: (dataset: Dataset) => T, otherwise: T, unchanged: (a: T, b: T) => boolean): T {
  const last = useRef(otherwise);
  return useSyncExternalStore(
    (changed) => dataset?.subscribe(changed) ?? (() => undefined),
    () => {
      const next = dataset === undefined ? otherwise : read(dataset);
      if (!unchanged(last.current, next)) {
        last.current = next;
      }
      return last.current;
    },
  );
}

const sameItems = <T>(a: readonly T[], b: readonly T[]): boolean => a.length === b.length && a.every((item, at) => item === b[at]);
const sameText = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export const useRecord = (dataset: Dataset | undefined, key: string): Json | undefined =>
  useRead<Json | undefined>(dataset, (open) => open.get(key), undefined, same);

export const useEntries = (dataset: Dataset | undefined, prefix = ''): readonly (readonly [string, Json])[] =>
  useRead(dataset, (open) => open.entries(prefix), NONE as readonly (readonly [string, Json])[], (a, b) =>
    a.length === b.length && a.every(([key, value], at) => key === b[at]![0] && same(value, b[at]![1])),
  );

/** The identity's standing, as far as this device knows. */
export const useRole = (dataset: Dataset | undefined): Role | undefined =>
  useRead<Role | undefined>(dataset, (open) => open.role, undefined, Object.is);

export const usePending = (dataset: Dataset | undefined): readonly Edit[] =>
  useRead(dataset, (open) => open.pending(), NONE as readonly Edit[], sameItems);

export const useParked = (dataset: Dataset | undefined): readonly Edit[] =>
  useRead(dataset, (open) => open.parked(), NONE as readonly Edit[], sameItems);

export const useConflicts = (dataset: Dataset | undefined): readonly Conflict[] =>
  useRead(dataset, (open) => open.conflicts(), NONE as readonly Conflict[], sameText);

const NONE: readonly never[] = [];

/** The status of a client or of a dataset. */
export function useStatus(of: Client | Dataset | undefined): DatasetStatus | LinkStatus {
  return useSyncExternalStore(
    (changed) => of?.subscribe(changed) ?? (() => undefined),
    () => of?.status() ?? CLOSED,
  );
}

const CLOSED: LinkStatus = { state: 'offline' };

/** Who is here, and a way to say something else of oneself. With a state this device is here, too, while this renders. */
export function usePresence(
  dataset: Dataset | undefined,
  state?: Json,
): { readonly everyone: readonly Present[]; readonly set: (state: Json) => void } {
  const [everyone, setEveryone] = useState<readonly Present[]>(NONE);
  const presence = useRef<Presence>(undefined);
  useEffect(() => {
    const opened = dataset?.presence(state);
    presence.current = opened;
    const stop = opened?.subscribe(setEveryone);
    return () => {
      stop?.();
      opened?.close();
      setEveryone(NONE);
    };
    // A later state is said by `set`.
  }, [dataset]);
  const said = JSON.stringify(state);
  useEffect(() => {
    if (state !== undefined && presence.current) {
      presence.current.set(state);
    }
  }, [said]);
  return useMemo(() => ({ everyone, set: (next: Json) => presence.current?.set(next) }), [everyone]);
}
