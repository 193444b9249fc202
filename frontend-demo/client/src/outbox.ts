/**
 * The steps by which edits move. Pure; each is one write, so that a crash leaves the state before it or after it.
 *
 * - An edit is in the outbox until the server's outcome for it is known, or until someone decided to drop it.
 * - What is frozen in a batch never changes, and is sent under the batch's `mutationId` until its outcome is known.
 * - A batch holds one edit per key (a transaction's may hold more), so a later edit is always sent knowing what became
 *   of the one before it.
 */

import {
  applied,
  changeInput,
  folded,
  isBased,
  isMasking,
  NOTHING_SEEN,
  overlaid,
  rebased,
  seenOf,
  type ConflictPolicy,
  type Edit,
  type Seen,
} from './edits.ts';
import { same, type Json } from './json.ts';
import { apply, type Operation } from './operations.ts';
import { clear, beginResync, learn, take, type Delta, type RemoteRecord } from './records.ts';
import { view, type Batch, type Draft, type SyncedRecord } from './replica.ts';

export type ResyncReason = 'EPOCH_CHANGED' | 'CHECKPOINT_TOO_OLD' | 'CHECKPOINT_FROM_FUTURE' | 'DATASET_RECREATED';

export const DATASET_DELETED = 'DATASET_DELETED';
export const keepMine = 'mine';
export const keepTheirs = 'theirs';
export type Keep = typeof keepMine | typeof keepTheirs;
export type Decision = Keep | { readonly value: Json };

const MAX_BATCH_CHARACTERS = 262_144;

/** What the server says became of one change. */
export interface Outcome {
  readonly key: string;
  readonly status: 'APPLIED' | 'MERGED' | 'UNCHANGED' | 'CONFLICT' | 'REJECTED';
  readonly code: string | null;
  readonly details: Json;
  readonly record: RemoteRecord | null;
}

export interface NewEdit {
  readonly key: string;
  readonly operation: Operation;
  readonly argument?: Json | undefined;
}

const isLive = ({ state }: Edit): boolean => state !== 'parked';
const synced = (draft: Draft, key: string): SyncedRecord | undefined => draft.records.get(key);

/** What the maker of an edit sees that comes on top of the edits `below`. */
function seenOn(draft: Draft, key: string, below: readonly Edit[]): Seen {
  const record = synced(draft, key);
  return below.some(isLive) ? { value: overlaid(record?.value, below) } : seenOf(record);
}

/** The last of the edits that a new one of the same transaction (or of none) may be folded into. */
function freeTail(existing: readonly Edit[], bundle: string | undefined): readonly Edit[] {
  const fixed = existing.findLastIndex((edit) => edit.batch !== undefined || edit.bundle !== bundle);
  return existing.slice(fixed + 1);
}

/**
 * What it answers is what the edit's maker saw, to be given when it is done again on what another tab wrote meanwhile:
 * nobody saw that. Throws CHANGE_NOT_APPLICABLE if it does not fit what is there.
 */
export function make(draft: Draft, { key, operation, argument }: NewEdit, madeAt: string, bundle?: string, saw?: Seen): Seen {
  const existing = draft.editsOf(key).filter(isLive);
  apply(operation, key, argument, overlaid(synced(draft, key)?.value, existing));
  const seen = saw ?? seenOn(draft, key, existing);
  return place(draft, { id: 0, key, operation, argument, madeAt, seen, state: 'pending', bundle }, existing, saw);
}

/** Put `edit` behind `existing`, folded into those that are not frozen if the two make one. */
function place(draft: Draft, edit: Edit, existing: readonly Edit[], saw?: Seen): Seen {
  const free = freeTail(existing, edit.bundle);
  if (isMasking(edit)) {
    // Not what the first based one saw: it was made on top of those before it, which are never sent.
    const before = free.some(isBased) ? free[0]!.seen : seenOn(draft, edit.key, existing.slice(0, existing.length - free.length));
    const seen = saw ?? before;
    const state = free.some((other) => other.state === 'conflict') ? 'conflict' : 'pending';
    draft.drop(free);
    draft.addEdit({ ...edit, seen, state });
    return seen;
  }
  const last = free.at(-1);
  const one = last && folded(last, edit);
  if (one) {
    draft.save(one);
  } else {
    draft.addEdit(edit);
  }
  return edit.seen;
}

// --- pushing -----------------------------------------------------------------------------------------------------------

/**
 * The next edits to send together: those of one transaction, or as many others as fit, one per key. An edit waits for
 * all earlier ones of its key, and a transaction for those of all its keys.
 */
export function nextUnit(edits: readonly Edit[], maxChanges: number): readonly Edit[] {
  const chosen: Edit[] = [];
  const taken = new Set<string>();
  let characters = 0;
  const live = edits.filter(isLive);
  for (const edit of live) {
    const { bundle } = edit;
    // Those of a transaction are met again one by one; then their keys are taken.
    const unit = bundle ? live.filter((other) => other.bundle === bundle) : [edit];
    const free = unit.every(({ key, state }) => !taken.has(key) && state === 'pending');
    unit.forEach(({ key }) => taken.add(key));
    if (free && bundle && !chosen.length) {
      return unit;
    }
    if (free && !bundle) {
      characters += JSON.stringify([edit.argument, edit.seen.value]).length;
      if (chosen.length && (chosen.length === maxChanges || characters > MAX_BATCH_CHARACTERS)) {
        break;
      }
      chosen.push(edit);
    }
  }
  return chosen;
}

/** The batch to send now: the one begun earlier, else the next. `fresh`: nothing was sent of it yet. */
export function freeze(
  draft: Draft,
  maxChanges: number,
  policy: ConflictPolicy | undefined,
  newId: () => string,
): { readonly batch: Batch; readonly fresh: boolean } | undefined {
  if (draft.batch) {
    return { batch: draft.batch, fresh: false };
  }
  const unit = nextUnit(draft.edits, maxChanges);
  if (unit.length === 0) {
    return undefined;
  }
  const mutationId = newId();
  const changes = unit.map((edit) => changeInput(edit, policy));
  draft.batch = { mutationId, changes, atomic: unit[0]!.bundle !== undefined };
  unit.forEach((edit) => draft.save({ ...edit, batch: mutationId }));
  return { batch: draft.batch, fresh: true };
}

export const editsIn = (draft: Pick<Draft, 'edits'>, { mutationId }: Batch): readonly Edit[] =>
  draft.edits.filter((edit) => edit.batch === mutationId);

/** The push is over, its edits are free again. `undefined`: it was over already; another tab may have been faster. */
function end(draft: Draft, { mutationId }: Batch): readonly Edit[] | undefined {
  if (draft.batch?.mutationId !== mutationId) {
    return undefined;
  }
  const edits = editsIn(draft, draft.batch).map((edit) => ({ ...edit, batch: undefined }));
  edits.forEach((edit) => draft.save(edit));
  draft.batch = undefined;
  return edits;
}

/** The batch was decided change by change; the answer is as that of `take`. */
export function settle(
  draft: Draft,
  batch: Batch,
  outcomes: readonly Outcome[],
  delta: Delta,
  policy: ConflictPolicy | undefined,
): number | undefined {
  const news = learn(draft, outcomes.flatMap(({ record }) => record ?? []));
  const edits = end(draft, batch) ?? [];
  edits.forEach((edit, at) => {
    const { status, code, details } = outcomes[at]!;
    if (status === 'CONFLICT') {
      draft.save({ ...edit, state: 'conflict' });
    } else if (status === 'REJECTED') {
      parkOne(draft, edit, code ?? status, details);
    } else {
      draft.drop([edit]);
    }
  });
  edits.forEach((edit, at) => followUp(draft, edit, outcomes[at]!.status, outcomes[at]!.record, policy));
  const more = take(draft, delta);
  return more === undefined ? undefined : news + more;
}

/** Bring what was edited on top of `edit` meanwhile in line with what became of it. */
function followUp(
  draft: Draft,
  edit: Edit,
  status: Outcome['status'],
  record: RemoteRecord | null,
  policy: ConflictPolicy | undefined,
): void {
  const later = laterThan(draft, edit);
  const [next] = later;
  if (next === undefined) {
    return;
  }
  if (status === 'CONFLICT') {
    for (const one of later) {
      const below = draft.editsOf(edit.key).filter((other) => other.id < one.id && isLive(other));
      if (freeTail(below, one.bundle).length > 0) {
        draft.drop([one]);
        place(draft, one, below);
      }
    }
  } else if (status === 'REJECTED') {
    if (isBased(next) && next.seen.version === undefined) {
      draft.save({ ...next, seen: isBased(edit) ? edit.seen : seenOn(draft, edit.key, []) });
    }
  } else {
    const now = record === null || record.deleted ? NOTHING_SEEN : seenOf(record);
    draft.save(rebased(next, now, policy));
  }
}

const laterThan = (draft: Draft, edit: Edit): readonly Edit[] =>
  draft.editsOf(edit.key).filter((other) => other.id > edit.id && isLive(other) && other.batch === undefined);

/** Nothing of an atomic batch was applied: its edits are free again, those that conflict are held. */
export function conflicted(
  draft: Draft,
  batch: Batch,
  conflicts: readonly { readonly key: string; readonly current: RemoteRecord | null }[],
  delta: Delta,
): number | undefined {
  const news = learn(draft, conflicts.flatMap(({ current }) => current ?? []));
  const keys = new Set(conflicts.map(({ key }) => key));
  for (const edit of end(draft, batch) ?? []) {
    // Of several edits of one key, the first decides for all.
    if (isBased(edit) && keys.delete(edit.key)) {
      draft.save({ ...edit, state: 'conflict' });
    }
  }
  const more = take(draft, delta);
  return more === undefined ? undefined : news + more;
}

/** The batch was not applied and will not be: its edits go into other ones. */
export function thaw(draft: Draft, batch: Batch): void {
  end(draft, batch);
}

/** The log knows the batch's id for what was sent before its epoch changed: send that. False: there is none. */
export function sendEarlier(draft: Draft, { mutationId }: Batch): boolean {
  const { batch } = draft;
  if (batch?.mutationId !== mutationId || !batch.earlierChanges) {
    return false;
  }
  draft.batch = { ...batch, changes: batch.earlierChanges, earlierChanges: undefined };
  return true;
}

// --- parking -----------------------------------------------------------------------------------------------------------

/** The server refuses the batch for good: its edits are taken out of reads and no longer sent. */
export function park(draft: Draft, batch: Batch, code: string, details: Json): void {
  const edits = end(draft, batch) ?? [];
  edits.forEach((edit) => parkOne(draft, edit, code, details));
  edits.forEach((edit) => followUp(draft, edit, 'REJECTED', null, undefined));
}

function parkOne(draft: Draft, edit: Edit, code: string, details: Json): void {
  draft.save({ ...edit, state: 'parked', batch: undefined, code, details });
}

const parkedAs = (draft: Draft, id: number): Edit | undefined =>
  draft.edits.find((edit) => edit.id === id && edit.state === 'parked');

/** Give a parked edit up. False: it is none. */
export function discard(draft: Draft, id: number): boolean {
  const edit = parkedAs(draft, id);
  draft.drop(edit ? [edit] : []);
  return edit !== undefined;
}

/** Make a parked edit again, on what the user sees now. Throws CHANGE_NOT_APPLICABLE; then it stays parked. */
export function retry(draft: Draft, id: number, madeAt: string): boolean {
  const edit = parkedAs(draft, id);
  if (edit) {
    make(draft, edit, madeAt);
    draft.drop([edit]);
  }
  return edit !== undefined;
}

// --- conflicts ---------------------------------------------------------------------------------------------------------

/** Let go of held edits that no longer conflict; the answer is those that still wait for a decision. */
export function review(draft: Draft, policy: ConflictPolicy | undefined): readonly Edit[] {
  return draft.edits.filter((edit) => {
    if (edit.state !== 'conflict') {
      return false;
    }
    const now = seenOf(synced(draft, edit.key));
    if (same(applied(edit, now.value), now.value)) {
      letGo(draft, edit, now, policy);
    } else if (same(edit.seen.value, now.value)) {
      draft.save({ ...edit, state: 'pending', seen: now });
    } else {
      return true;
    }
    return false;
  });
}

/** Do as decided. False: the edit, or the record, is not the one any more that was decided about. */
export function resolve(
  draft: Draft,
  decided: Edit,
  version: number | undefined,
  decision: Decision,
  policy: ConflictPolicy | undefined,
): boolean {
  const edit = draft.edits.find(({ id }) => id === decided.id);
  const record = synced(draft, decided.key);
  if (edit?.state !== 'conflict' || edit.madeAt !== decided.madeAt || !same(edit.argument, decided.argument) || record?.version !== version) {
    return false;
  }
  const seen = seenOf(record);
  if (decision === keepTheirs) {
    letGo(draft, edit, seen, policy);
  } else if (decision === keepMine) {
    draft.save({ ...edit, state: 'pending', seen });
  } else {
    draft.save({ ...edit, operation: 'put', argument: decision.value, state: 'pending', seen });
  }
  return true;
}

function letGo(draft: Draft, edit: Edit, now: Seen, policy: ConflictPolicy | undefined): void {
  const [next] = laterThan(draft, edit);
  draft.drop([edit]);
  if (next) {
    draft.save(rebased(next, now, policy));
  }
}

// --- resync and deletion -----------------------------------------------------------------------------------------------

/**
 * Start over; edits stay. False: the device no longer stands at `since`, which the server refused. If the log is
 * another one, versions seen in the old one mean nothing in it: values are compared instead.
 */
export function resync(draft: Draft, reason: ResyncReason, since: string, policy: ConflictPolicy | undefined): boolean {
  if (draft.head.checkpoint !== since) {
    return false;
  }
  beginResync(draft);
  if (reason === 'EPOCH_CHANGED' || reason === 'CHECKPOINT_FROM_FUTURE') {
    draft.edits.filter(isBased).forEach((edit) => draft.save({ ...edit, seen: { value: edit.seen.value } }));
    const { batch } = draft;
    if (batch && !batch.earlierChanges) {
      const changes = editsIn(draft, batch).map((edit) => changeInput(edit, policy));
      if (!same(changes, batch.changes)) {
        draft.batch = { ...batch, changes, earlierChanges: batch.changes };
      }
    }
  }
  return true;
}

/** Edits that are neither parked nor under way. */
export const unsent = (draft: Pick<Draft, 'edits'>): readonly Edit[] =>
  draft.edits.filter((edit) => isLive(edit) && edit.batch === undefined);

/** After a resync: `mine` bases the edits on the records as they are now, `theirs` drops them. */
export function decideUnsent(draft: Draft, edits: readonly Edit[], keep: Keep, policy: ConflictPolicy | undefined): void {
  for (const { id, madeAt } of edits) {
    const edit = unsent(draft).find((other) => other.id === id && other.madeAt === madeAt);
    if (edit && keep === keepTheirs) {
      letGo(draft, edit, seenOn(draft, edit.key, []), policy);
    } else if (edit && isBased(edit)) {
      const below = draft.editsOf(edit.key).filter((other) => other.id < edit.id);
      draft.save({ ...edit, state: 'pending', seen: seenOn(draft, edit.key, below) });
    }
  }
}

/** The dataset that the device stood in is deleted. False: the device stands elsewhere by now. */
export function datasetDeleted(draft: Draft, keep: Keep | undefined, since: string, madeAt: string): boolean {
  if (draft.head.checkpoint !== since) {
    return false;
  }
  const mine = keep === keepMine ? view(draft.replica) : new Map<string, Json>();
  if (draft.batch) {
    end(draft, draft.batch);
  }
  const edits = unsent(draft);
  if (keep === undefined) {
    edits.forEach((edit) => parkOne(draft, edit, DATASET_DELETED, null));
  } else {
    draft.drop(edits);
  }
  clear(draft);
  for (const [key, argument] of mine) {
    make(draft, { key, operation: 'put', argument }, madeAt);
  }
  return true;
}
