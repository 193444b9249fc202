/** What happened underneath, for all devices of the page, and how long changes took from one to another. */

import type { ChangeEvent, Trace } from '@syncline/client';
import { useSyncExternalStore } from 'react';

export interface Activity {
  readonly id: number;
  readonly device: string;
  readonly trace: Trace;
}

/** A change that was made on one device and seen on another. */
export interface Delivery {
  readonly id: number;
  readonly device: string;
  readonly milliseconds: number;
}

interface Snapshot {
  readonly activities: readonly Activity[];
  readonly deliveries: readonly Delivery[];
}

const KEPT = 200;
let snapshot: Snapshot = { activities: [], deliveries: [] };
let nextId = 1;
const listeners = new Set<() => void>();
const made = new Map<string, { readonly device: string; readonly at: number }>();

function change(next: Partial<Snapshot>): void {
  snapshot = { ...snapshot, ...next };
  listeners.forEach((listener) => listener());
}

export function recordTrace(device: string, trace: Trace): void {
  change({ activities: [{ id: nextId++, device, trace }, ...snapshot.activities].slice(0, KEPT) });
}

/**
 * A device's records changed: here is where the clock starts, elsewhere is where it stops. `liveSince`: since when the
 * device follows the dataset; what was made before, or by a device that is offline, had to wait for something else.
 */
export function recordChange(device: string, dataset: string, liveSince: number, { keys, from }: ChangeEvent): void {
  const at = performance.now();
  for (const key of keys) {
    const name = `${dataset} ${key}`;
    const origin = made.get(name);
    if (from === 'here' && liveSince < at) {
      made.set(name, { device, at });
    } else if (origin?.device !== device) {
      made.delete(name);
      if (origin && origin.at > liveSince) {
        const delivery = { id: nextId++, device, milliseconds: at - origin.at };
        change({ deliveries: [...snapshot.deliveries, delivery].slice(-KEPT) });
      }
    }
  }
}

export const useActivity = (): Snapshot =>
  useSyncExternalStore(
    (changed) => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    () => snapshot,
  );
