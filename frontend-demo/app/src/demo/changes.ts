/**
 * What a device wants changed, and the pure rules for it: what a change makes of a value, how two become one, and
 * whether what its maker saw still holds.
 */

import { isObject, same, type JsonObject } from './json.ts';
import type { Json } from './protocol.ts';

/**
 * The value that the maker of a change saw; null: no record. The server is told it as the change's base, because
 * values, unlike versions, mean the same in another log and on top of a push whose outcome is not known yet.
 */
export type Seen = { readonly json: Json } | null;

export type Edit =
  | { readonly kind: 'put'; readonly key: string; readonly value: JsonObject; readonly seen: Seen }
  | { readonly kind: 'merge'; readonly key: string; readonly patch: JsonObject; readonly seen: Seen }
  | { readonly kind: 'remove'; readonly key: string; readonly seen: Seen };

/** Only an edit can conflict; increments add up. */
export type Change = Edit | { readonly kind: 'increment'; readonly key: string; readonly by: number };

export function seen(value: Json | undefined): Seen {
  return value === undefined ? null : { json: value };
}

/** The value after the change; `undefined` stands for no record. */
export function applied(change: Change, value: Json | undefined): Json | undefined {
  switch (change.kind) {
    case 'put':
      return change.value;
    case 'merge':
      return { ...(isObject(value) ? value : {}), ...change.patch };
    case 'remove':
      return undefined;
    case 'increment':
      return (typeof value === 'number' ? value : 0) + change.by;
  }
}

/** What is to be sent instead of `changes` and then `change`. */
export function enqueued(changes: readonly Change[], change: Change): readonly Change[] {
  const place = changes.findIndex(
    (other) => other.key === change.key && (other.kind === 'increment') === (change.kind === 'increment'),
  );
  const before = changes[place];
  if (before === undefined) {
    return [...changes, change];
  }
  const both = folded(before, change);
  return both === null ? changes.toSpliced(place, 1) : changes.with(place, both);
}

/** One change that does what both do; null if they leave nothing to do. It keeps what the maker of the first saw. */
export function folded(first: Change, second: Change): Change | null {
  if (first.kind === 'increment' || second.kind === 'increment') {
    const by = (first.kind === 'increment' ? first.by : 0) + (second.kind === 'increment' ? second.by : 0);
    return by === 0 ? null : { kind: 'increment', key: second.key, by };
  }
  const both = foldedEdit(first, second);
  return same(applied(both, both.seen?.json), both.seen?.json) ? null : both;
}

function foldedEdit(first: Edit, second: Edit): Edit {
  const { key, seen } = first;
  if (second.kind === 'remove') {
    return { kind: 'remove', key, seen };
  }
  if (second.kind === 'merge' && first.kind === 'merge') {
    return { ...first, patch: { ...first.patch, ...second.patch } };
  }
  const value = applied(second, applied(first, seen?.json));
  return { kind: 'put', key, value: isObject(value) ? value : {}, seen };
}

/** Whether the record is now as the maker of the edit saw it; of a merge, in the fields that it names. */
export function stillAsSeen(edit: Edit, value: Json | undefined): boolean {
  const before = edit.seen?.json;
  if (edit.kind === 'merge' && isObject(before) && isObject(value)) {
    return Object.keys(edit.patch).every((name) => same(before[name], value[name]));
  }
  return same(before, value);
}

/** The edit made again by someone who has seen `value`; null if there is nothing left to do. */
export function remade(edit: Edit, value: Json | undefined): Edit | null {
  if (edit.kind === 'remove') {
    return value === undefined ? null : { ...edit, seen: seen(value) };
  }
  if (edit.kind === 'merge' && value === undefined) {
    const mine = applied(edit, edit.seen?.json);
    return { kind: 'put', key: edit.key, value: isObject(mine) ? mine : {}, seen: null };
  }
  return { ...edit, seen: seen(value) };
}

/** The change as the schema's `ChangeInput`. */
export function changeInput(change: Change): Record<string, unknown> {
  if (change.kind === 'increment') {
    return { increment: { key: change.key, by: change.by } };
  }
  const base = change.seen === null ? { absent: true } : { value: change.seen };
  switch (change.kind) {
    case 'put':
      return { put: { key: change.key, value: change.value, base } };
    case 'merge':
      return { merge: { key: change.key, patch: change.patch, base } };
    case 'remove':
      return { remove: { key: change.key, base } };
  }
}
