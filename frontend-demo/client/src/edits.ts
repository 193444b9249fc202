/**
 * Edits as the outbox keeps them, and the pure rules for them: what they make of a value, how they fold and rebase.
 *
 * Every edit on which conflicts are possible remembers what its maker *saw*; the server is told that as the change's
 * base. An edit made on top of a push whose outcome is not known yet saw something no version names: only the value.
 * When the outcome comes, the edit is *rebased*: if the record then is what was seen, its version becomes the base; if
 * not, someone else had a hand in it. The server cannot notice that, for to it this device wrote the record last.
 */

import { SynclineError } from './errors.ts';
import { isObject, same, type Json, type JsonObject } from './json.ts';
import { apply, FIELDS, own, threeWayMerge, type Operation } from './operations.ts';

export type ConflictPolicy = 'REJECT' | 'LAST_WRITER_WINS' | 'MERGE' | 'HANDLER';

/** What the maker of an edit saw. Without `version` only the value is known; without `value` there was no record. */
export interface Seen {
  readonly version?: number | undefined;
  readonly value?: Json | undefined;
}

export const NOTHING_SEEN: Seen = { version: 0 };

export const seenOf = (record: { readonly value?: Json | undefined; readonly version: number } | undefined): Seen =>
  record?.value === undefined ? NOTHING_SEEN : { version: record.version, value: record.value };

/** `pending`: to be sent. `conflict`: held until someone decides. `parked`: refused, and taken out of reads. */
export type EditState = 'pending' | 'conflict' | 'parked';

export interface Edit {
  readonly id: number;
  readonly key: string;
  readonly operation: Operation;
  /** The value, patch, bound, number or array of members; none for a removal. */
  readonly argument?: Json | undefined;
  /** When it was made, by this device's clock. */
  readonly madeAt: string;
  readonly seen: Seen;
  readonly state: EditState;
  /** The transaction it is part of. */
  readonly bundle?: string | undefined;
  /** The `mutationId` under which it is being sent. */
  readonly batch?: string | undefined;
  readonly code?: string | undefined;
  readonly details?: Json | undefined;
}

/** Whether it can conflict. */
export const isBased = ({ operation }: Edit): boolean =>
  operation === 'put' || operation === 'remove' || operation === 'merge';

/** Whether it hides what was there before. */
export const isMasking = ({ operation }: Edit): boolean => operation === 'put' || operation === 'remove';

/** The value after the edit; unchanged if the edit does not fit it any more. */
export function applied(edit: Edit, value: Json | undefined): Json | undefined {
  try {
    return apply(edit.operation, edit.key, edit.argument, value);
  } catch (error) {
    if (error instanceof SynclineError) {
      return value;
    }
    throw error;
  }
}

/** What a reader sees: `value` with the edits on top, parked ones left out. */
export const overlaid = (value: Json | undefined, edits: readonly Edit[]): Json | undefined =>
  edits.reduce((seen, edit) => (edit.state === 'parked' ? seen : applied(edit, seen)), value);

/**
 * One edit that does what `last` and then `next` do, in the place of `last`, if there is one. Onto a put or a removal
 * everything folds; the result keeps what was seen before the first of the two.
 */
export function folded(last: Edit, next: Edit): Edit | undefined {
  const { madeAt } = next;
  if (isMasking(last)) {
    const argument = applied(next, last.argument);
    return { ...last, operation: argument === undefined ? 'remove' : 'put', argument, madeAt };
  }
  const argument = last.operation === next.operation ? joined(last, next) : undefined;
  return argument === undefined ? undefined : { ...last, argument, madeAt };
}

function joined({ operation, key, argument: a }: Edit, { argument: b }: Edit): Json | undefined {
  switch (operation) {
    case 'increment': {
      // Sums of whole numbers are the same in whatever order they are added; those of fractions are not.
      const sum = (a as number) + (b as number);
      return Number.isSafeInteger(a) && Number.isSafeInteger(b) && Number.isSafeInteger(sum) ? sum : undefined;
    }
    case 'max':
    case 'min':
      // The order of texts is the server's.
      return typeof a === 'number' && typeof b === 'number' ? apply(operation, key, b, a) : undefined;
    case 'addToSet':
    case 'removeFromSet':
      return [...(a as readonly Json[]), ...(b as readonly Json[])];
    default:
      return undefined;
  }
}

/**
 * `edit`, made on top of a push of its key, now that the push is settled and the record is `now`. If that is not what
 * the edit's maker saw, the policy decides as the server would.
 */
export function rebased(edit: Edit, now: Seen, policy: ConflictPolicy | undefined): Edit {
  const { seen, operation, argument } = edit;
  if (!isBased(edit) || seen.version !== undefined) {
    return edit;
  }
  if (same(seen.value, now.value) || policy === 'LAST_WRITER_WINS') {
    return { ...edit, seen: now };
  }
  if (operation === 'merge' && (policy === 'MERGE' || patchesOtherFields(argument, seen.value, now.value))) {
    return { ...edit, seen: now };
  }
  if (operation === 'put' && policy === 'MERGE' && isObject(seen.value) && isObject(now.value) && isObject(argument)) {
    return { ...edit, argument: threeWayMerge(seen.value, now.value, argument), seen: now };
  }
  return { ...edit, state: 'conflict' };
}

function patchesOtherFields(patch: Json | undefined, was: Json | undefined, now: Json | undefined): boolean {
  return (
    isObject(patch) &&
    isObject(was) &&
    isObject(now) &&
    Object.keys(patch).every((name) => same(own(was, name), own(now, name)))
  );
}

/** The edit as a `ChangeInput`. Under MERGE a put carries the value seen, so that fields can be merged. */
export function changeInput(edit: Edit, policy: ConflictPolicy | undefined): JsonObject {
  const { key, operation, argument, madeAt, seen } = edit;
  const body: Record<string, Json> = { key, deviceTime: madeAt };
  if (argument !== undefined) {
    body[FIELDS[operation] ?? 'value'] = argument;
  }
  if (isBased(edit)) {
    const byValue = seen.version === undefined || (operation === 'put' && policy === 'MERGE');
    body['base'] =
      seen.value === undefined ? { absent: true } : byValue ? { value: { json: seen.value } } : { version: seen.version! };
  }
  return { [operation]: body };
}
