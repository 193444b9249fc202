/** What the shared list is made of: one record for each item, and one for the counter. */

import { isObject } from './json.ts';
import type { Json } from './protocol.ts';

export interface Item {
  readonly text: string;
  readonly done: boolean;
}

export const COUNTER_KEY = 'water-bottles';

const ITEM_PREFIX = 'item:';

export function isItemKey(key: string): boolean {
  return key.startsWith(ITEM_PREFIX);
}

/** A key for a new item; later ones sort after earlier ones. */
export function itemKey(time: number, random: string): string {
  return `${ITEM_PREFIX}${time.toString(36).padStart(9, '0')}-${random}`;
}

/** The record's value as an item. Anyone can write anything from GraphiQL, so any value is one. */
export function itemOf(value: Json): Item {
  return isObject(value)
    ? { text: typeof value.text === 'string' ? value.text : '', done: value.done === true }
    : { text: JSON.stringify(value), done: false };
}

/** A record's value in a few words. */
export function described(key: string, value: Json | undefined): string {
  if (value === undefined) {
    return 'removed';
  }
  if (!isItemKey(key)) {
    return `${key}: ${JSON.stringify(value)}`;
  }
  const { text, done } = itemOf(value);
  return done ? `“${text}” ✓` : `“${text}”`;
}
