/** What a device shows of the list. */

import { applied, seen, type Seen } from './changes.ts';
import { count, shownValue, unsent, type Device } from './device.ts';
import { COUNTER_KEY, described, isItemKey, itemOf, type Item } from './list.ts';

export interface Row {
  readonly key: string;
  readonly item: Item;
  /** What whoever edits this row has seen. */
  readonly seen: Seen;
  readonly unsent: boolean;
  /** Both sides of a conflict in words; null: there is none. */
  readonly conflict: { readonly mine: string; readonly theirs: string } | null;
}

export function rowsOf(device: Device): readonly Row[] {
  const waiting = new Set(unsent(device).map((change) => change.key));
  const keys = new Set([...Object.keys(device.replica.values), ...waiting, ...Object.keys(device.conflicts)]);
  return [...keys]
    .filter(isItemKey)
    .sort()
    .flatMap((key): Row[] => {
      const value = shownValue(device, key);
      const mine = device.conflicts[key];
      if (value === undefined && mine === undefined) {
        return [];
      }
      return [
        {
          key,
          item: value === undefined ? { text: '', done: false } : itemOf(value),
          seen: seen(value),
          unsent: waiting.has(key),
          conflict:
            mine === undefined
              ? null
              : { mine: described(key, applied(mine, mine.seen?.json)), theirs: described(key, value) },
        },
      ];
    });
}

export function counterOf(device: Device): { readonly count: number; readonly unsent: boolean } {
  const value = shownValue(device, COUNTER_KEY);
  return {
    count: typeof value === 'number' ? value : 0,
    unsent: unsent(device).some((change) => change.key === COUNTER_KEY),
  };
}

/** The state of the connection in a word or two. */
export function statusOf(device: Device): 'Offline' | 'Stopped' | 'Connecting' | 'Catching up' | 'Live' {
  if (!device.online) {
    return 'Offline';
  }
  if (device.halted !== null) {
    return 'Stopped';
  }
  if (device.link !== 'up') {
    return 'Connecting';
  }
  return device.stream === 'live' ? 'Live' : 'Catching up';
}

/** How much is not settled yet; empty: all is. */
export function openPoints(device: Device): string {
  const changes = unsent(device).length;
  const conflicts = Object.keys(device.conflicts).length;
  return [
    changes > 0 ? count(changes, 'unsent change') : '',
    conflicts > 0 ? count(conflicts, 'conflict') : '',
  ]
    .filter((part) => part !== '')
    .join(', ');
}
