/** What becomes of a push's changes, and of those made on top of them, once the server has answered. */

import { applied, folded, stillAsSeen, type Change, type Edit } from './changes.ts';
import { described } from './list.ts';
import type { ChangeResult, Json, RemoteRecord, SyncApplied, SyncConflicted } from './protocol.ts';

/** Edits that wait for the user's choice, by key. */
export type Conflicts = { readonly [key: string]: Edit };

export interface Line {
  readonly text: string;
  readonly tone: 'plain' | 'good' | 'warning' | 'bad';
}

export interface Outcome {
  /** Still to be sent: what was waiting, and what has to go again. */
  readonly outbox: readonly Change[];
  readonly conflicts: Conflicts;
  readonly lines: readonly Line[];
}

/** The outcome of `changes`; `waiting` holds what was made while they were under way. */
export function outcome(
  changes: readonly Change[],
  waiting: readonly Change[],
  result: SyncApplied | SyncConflicted,
): Outcome {
  switch (result.__typename) {
    case 'SyncApplied':
      return each(changes, waiting, result.results);
    case 'SyncConflicted': {
      // Nothing was applied: what has no conflict goes again.
      const current = new Map(result.conflicts.map((conflict) => [conflict.key, conflict.current]));
      const held = changes.filter((change) => current.has(change.key));
      const again = changes.filter((change) => !current.has(change.key));
      const conflicts = held.map(
        (change): ChangeResult => ({
          key: change.key,
          status: 'CONFLICT',
          code: null,
          record: current.get(change.key) ?? null,
        }),
      );
      const rest = each(held, waiting, conflicts);
      return { ...rest, outbox: again.reduceRight(before, rest.outbox) };
    }
  }
}

/** `changes` with `change` made before them. */
export function before(changes: readonly Change[], change: Change): readonly Change[] {
  const place = changes.findIndex((other) => other.key === change.key && other.kind !== 'increment');
  const later = changes[place];
  if (later === undefined || change.kind === 'increment') {
    return [change, ...changes];
  }
  const both = folded(change, later);
  return both === null ? changes.toSpliced(place, 1) : changes.with(place, both);
}

function each(
  changes: readonly Change[],
  waiting: readonly Change[],
  results: readonly ChangeResult[],
): Outcome {
  let outbox = waiting;
  const conflicts: Record<string, Edit> = {};
  const lines: Line[] = [];
  changes.forEach((change, index) => {
    const result = results[index];
    if (result === undefined || change.kind === 'increment') {
      if (result?.status === 'REJECTED') {
        lines.push(rejection(change, result));
      }
      return;
    }
    const value = valueOf(result.record);
    const later = outbox.find((other): other is Edit => other.key === change.key && other.kind !== 'increment');
    if (result.status === 'CONFLICT') {
      outbox = outbox.filter((other) => other !== later);
      const mine = later === undefined ? change : folded(change, later);
      if (mine !== null && mine.kind !== 'increment') {
        conflicts[change.key] = mine;
        lines.push(conflict(mine, value));
      }
      return;
    }
    if (result.status === 'REJECTED') {
      lines.push(rejection(change, result));
    } else if (result.status === 'MERGED') {
      lines.push({ text: `Merged: ${described(change.key, value)}`, tone: 'good' });
    }
    // The server would not notice: to it, this device wrote the record last.
    if (later !== undefined && !stillAsSeen(later, value)) {
      outbox = outbox.filter((other) => other !== later);
      conflicts[change.key] = later;
      lines.push(conflict(later, value));
    }
  });
  return { outbox, conflicts, lines };
}

function conflict(mine: Edit, theirs: Json | undefined): Line {
  const here = described(mine.key, applied(mine, mine.seen?.json));
  return { text: `Conflict: ${here} here, ${described(mine.key, theirs)} on the server`, tone: 'warning' };
}

function rejection(change: Change, result: ChangeResult): Line {
  return { text: `Rejected: the change of ${change.key} (${result.code ?? 'no code'})`, tone: 'bad' };
}

function valueOf(record: RemoteRecord | null): Json | undefined {
  return record === null || record.deleted ? undefined : record.value;
}
