/** Push what is pending, pull what is missing, ask for decisions, until all is done. */

import { now, type Opened } from './context.ts';
import { applied, type Edit } from './edits.ts';
import type { SynclineError } from './errors.ts';
import { jsonCopy, type Json } from './json.ts';
import { connected, request, type Variables } from './link.ts';
import type { LocalDataset, Step } from './local.ts';
import {
  conflicted,
  datasetDeleted,
  decideUnsent,
  editsIn,
  freeze,
  nextUnit,
  park,
  resolve,
  resync,
  review,
  sendEarlier,
  settle,
  thaw,
  unsent,
  type Decision,
  type Keep,
  type ResyncReason,
} from './outbox.ts';
import { PULL, SYNC, type DatasetRef, type Page, type PullData, type SyncData } from './protocol.ts';
import { coveredVersion, take, type Delta } from './records.ts';
import { START, type Author, type Batch, type Draft, type Replica } from './replica.ts';
import { jittered, sleep } from './waiting.ts';

/** What a record says, or that there is none. */
export type State = { readonly value: Json } | { readonly deleted: true };

/** An edit whose record someone else changed meanwhile. */
export interface Conflict {
  readonly key: string;
  /** What the edit makes of the record. */
  readonly mine: State;
  /** What the server has. */
  readonly theirs: State;
  /** What was there when the edit was made. */
  readonly base: State;
  /** Who wrote `theirs`. */
  readonly author: Author | undefined;
  readonly edit: Edit;
  readonly version: number | undefined;
}

type Answer<T> = T | Promise<T>;

/** Asked when someone has to decide. */
export interface Handlers {
  readonly onConflict?: ((conflict: Conflict) => Answer<Decision | undefined | void>) | undefined;
  readonly onDatasetDeleted?: ((dataset: DatasetRef) => Answer<Keep | undefined | void>) | undefined;
  readonly onResync?:
    | ((resync: { readonly reason: ResyncReason; readonly edits: readonly Edit[] }) => Answer<Keep | undefined | void>)
    | undefined;
}

/** What one synchronize did. */
export interface SyncReport {
  /** Records that were new to this device, its own included. */
  readonly pulled: number;
  /** Edits that the server has taken, merged ones included. */
  readonly pushed: number;
  readonly merged: number;
  /** Conflicts that a handler decided. */
  readonly resolved: number;
  /** Those that remain. */
  readonly conflicts: readonly Conflict[];
  /** Edits that were parked meanwhile. */
  readonly parked: readonly Edit[];
  readonly resyncs: readonly ResyncReason[];
  /** The dataset that this device knew was deleted. */
  readonly deleted: boolean;
}

/** Rounds of decisions; records that others keep changing meanwhile are left as conflicts. */
const MAX_ROUNDS = 16;
const ATTEMPTS = 4;

const stateOf = (value: Json | undefined): State => (value === undefined ? { deleted: true } : { value });

/** Those that the server refused. */
export const parkedIn = ({ edits }: Replica): readonly Edit[] => edits.filter(({ state }) => state === 'parked');

/** Whether there is anything to send. */
export const hasSendable = ({ batch, edits }: Replica): boolean => batch !== undefined || nextUnit(edits, 1).length > 0;

/** The edits that wait for a decision. */
export function conflictsIn({ edits, records }: Replica): readonly Conflict[] {
  return edits
    .filter(({ state }) => state === 'conflict')
    .map((edit) => {
      const record = records.get(edit.key);
      const theirs = record?.value;
      return {
        key: edit.key,
        mine: stateOf(applied(edit, theirs)),
        theirs: stateOf(theirs),
        base: stateOf(edit.seen.value),
        author: record?.author,
        edit,
        version: record?.version,
      };
    });
}

/** Decide one. False: it is not any more as it was. */
export function decide(local: LocalDataset, conflict: Conflict, decision: Decision): Promise<boolean> {
  const chosen = typeof decision === 'string' ? decision : { value: jsonCopy(decision.value, 'value') };
  return local.update(
    (draft) => resolve(draft, conflict.edit, conflict.version, chosen, draft.head.policy),
    'here',
  );
}

/**
 * Push, pull and ask until all is done; or, without `push`, push only what was begun earlier, and pull. Rejects with
 * OFFLINE and with the server's errors that are about more than one edit.
 */
export async function synchronize(opened: Opened, handlers: Handlers, push = true): Promise<SyncReport> {
  const { local, link, trace, ref } = opened;
  const parkedBefore = new Set(parkedIn(local.replica).map(({ id }) => id));
  const resyncs: ResyncReason[] = [];
  let [pulled, pushed, merged, resolved, deleted] = [0, 0, 0, 0, false];
  let maxChanges = 1;
  /** How many requests it took to get the last answer. */
  let attempts = 0;

  /** The policy that the server will apply, as far as this device knows. */
  const policyOf = ({ head }: Draft) => opened.policy ?? head.policy;
  const update = <T>(step: Step<T>) => local.update(step, 'elsewhere');

  async function ask<T>(query: string, variables: Variables): Promise<T> {
    for (attempts = 1; ; attempts++) {
      try {
        return await request<T>(link, query, { dataset: ref, ...variables });
      } catch (error) {
        const { retryable, code, facts } = error as SynclineError;
        if (!retryable || code === 'OFFLINE' || attempts === ATTEMPTS) {
          throw error;
        }
        await sleep(Number(facts['retryAfter'] ?? 0) * 1_000 + jittered(attempts));
      }
    }
  }

  /** False: nothing was taken in, because another pull was faster. */
  function took(news: number | undefined): boolean {
    pulled += news ?? 0;
    return news !== undefined;
  }

  // --- talking to the server -------------------------------------------------------------------------------------------

  /** Push all there is, then pull to the end; the answer says why the device has to start over first. */
  async function talk(all: boolean): Promise<ResyncReason | undefined> {
    for (let complete = false; ; ) {
      const id = crypto.randomUUID();
      const frozen = await update((draft) =>
        all || draft.batch ? freeze(draft, maxChanges, policyOf(draft), () => id) : undefined,
      );
      if (!frozen) {
        return complete ? undefined : pull();
      }
      const answer = await send(frozen.batch, frozen.fresh);
      if (typeof answer === 'string') {
        return answer;
      }
      complete = answer;
    }
  }

  async function pull(): Promise<ResyncReason | undefined> {
    for (;;) {
      const since = local.replica.head.checkpoint;
      const { changes, dataset } = await ask<PullData>(PULL, { since });
      if (changes.__typename === 'ResyncRequired') {
        return changes.reason;
      }
      const delta = deltaOf(since, changes, dataset);
      const taken = took(await update((draft) => take(draft, delta)));
      if (taken && changes.records.length) {
        trace('pulled', local.key, { records: changes.records.length, version: delta.version });
      }
      if (taken && !changes.hasMore) {
        return undefined;
      }
    }
  }

  /** Whether this device now holds all that the server holds; or why it has to start over. */
  async function send(batch: Batch, fresh: boolean): Promise<boolean | ResyncReason> {
    const before = local.replica;
    const since = before.head.checkpoint;
    const began = performance.now();
    const { mutationId, changes, atomic } = batch;
    trace('push', local.key, { changes: changes.length, mutationId });
    let sync: SyncData['sync'];
    try {
      const input = { dataset: ref, since, mutationId, changes, onConflict: opened.policy, atomic };
      ({ sync } = await ask<SyncData>(SYNC, { input }));
    } catch (error) {
      await refused(batch, error as SynclineError);
      return false;
    }
    if (sync.__typename === 'ResyncRequired') {
      if (fresh && attempts === 1) {
        // It was sent once, and this is the answer, so it was not applied: its edits can still be decided about.
        await update((draft) => thaw(draft, batch));
      }
      return sync.reason;
    }
    const answer = sync;
    const delta = deltaOf(since, answer, answer.dataset);
    const news = await update((draft) =>
      answer.__typename === 'SyncApplied'
        ? settle(draft, batch, answer.results, delta, policyOf(draft))
        : conflicted(draft, batch, answer.conflicts, delta),
    );
    const statuses = answer.__typename === 'SyncApplied' ? answer.results.map(({ status }) => status) : ['CONFLICT'];
    trace('pushed', local.key, { version: delta.version, statuses, milliseconds: performance.now() - began });
    merged += statuses.filter((status) => status === 'MERGED').length;
    pushed += statuses.filter((status) => status !== 'CONFLICT' && status !== 'REJECTED').length;
    return took(news) && delta.complete;
  }

  /** The server takes no part of the batch. Find the change that it is about, and park no other one. */
  async function refused(batch: Batch, error: SynclineError): Promise<void> {
    const { code, facts, retryable } = error;
    if (retryable !== false) {
      throw error;
    }
    const ofAll = ((code === 'UNAUTHENTICATED' || code === 'FORBIDDEN') && !('role' in facts)) || facts['limit'] === 'datasets';
    const count = editsIn(local.replica, batch).length;
    const split = count > 1 && !batch.atomic;
    const others = await update((draft) => {
      if (code === 'MUTATION_ID_REUSED' && sendEarlier(draft, batch)) {
        return true;
      }
      if (ofAll || split) {
        thaw(draft, batch);
      } else {
        park(draft, batch, code, jsonCopy(facts, 'details'));
      }
      return false;
    });
    if (ofAll && !others) {
      throw error;
    }
    maxChanges = split ? Math.floor(count / 2) : maxChanges;
  }

  // --- decisions -------------------------------------------------------------------------------------------------------

  async function startOver(reason: ResyncReason, since: string): Promise<ResyncReason | undefined> {
    resyncs.push(reason);
    trace('resync', local.key, { reason });
    if (reason === 'DATASET_RECREATED') {
      deleted = (await dropDataset(opened, handlers, since)) || deleted;
      return undefined;
    }
    const started = await locked(opened, () => update((draft) => resync(draft, reason, since, policyOf(draft))));
    return started ? reason : undefined;
  }

  async function decideAfterResync(reason: ResyncReason): Promise<void> {
    const edits = unsent(local.replica);
    const keep = await handlers.onResync?.({ reason, edits });
    if (keep) {
      await local.update((draft) => decideUnsent(draft, edits, keep, policyOf(draft)), 'here');
    }
  }

  /** Ask for each held conflict. What was decided is sent in the next round. */
  async function decideConflicts(): Promise<void> {
    if (conflictsIn(local.replica).length) {
      await update((draft) => review(draft, policyOf(draft)));
    }
    for (const conflict of conflictsIn(local.replica)) {
      const decision = await handlers.onConflict?.(conflict);
      if (decision && (await decide(local, conflict, decision))) {
        resolved++;
      }
    }
  }

  await connected(link);
  maxChanges = (await opened.session()).changesPerSync;
  let resynced: ResyncReason | undefined;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let since = START;
    const needed = await locked(opened, async () => {
      const reason = await talk(push && !resynced);
      since = local.replica.head.checkpoint;
      return reason;
    });
    if (needed) {
      resynced = (await startOver(needed, since)) ?? resynced;
    } else if (resynced) {
      await decideAfterResync(resynced);
      resynced = undefined;
    } else if (!push || (await decideConflicts(), !hasSendable(local.replica))) {
      break;
    }
  }
  const conflicts = conflictsIn(local.replica);
  const parked = parkedIn(local.replica).filter(({ id }) => !parkedBefore.has(id));
  if (conflicts.length) {
    trace('conflict', local.key, { keys: conflicts.map((conflict) => conflict.key) });
  }
  parked.forEach(({ key, code }) => trace('parked', local.key, { key, code }));
  return { pulled, pushed, merged, resolved, conflicts, parked, resyncs, deleted };
}

/** Held while a tab and the server talk about a dataset, never while a handler is asked. */
export const locked = <T>({ store, local, closing }: Opened, work: () => Promise<T>): Promise<T> =>
  store.lock(`talk ${local.key}`, closing, work);

/** The dataset in which the device stands at `since` is deleted. False: it stands elsewhere by now. */
export async function dropDataset(opened: Opened, { onDatasetDeleted }: Handlers, since: string): Promise<boolean> {
  const { local, ref, trace } = opened;
  const keep = (await onDatasetDeleted?.(ref)) || undefined;
  const madeAt = now();
  const done = await locked(opened, () =>
    local.update((draft) => datasetDeleted(draft, keep, since, madeAt), 'elsewhere'),
  );
  if (done) {
    trace('deleted', local.key);
  }
  return done;
}

function deltaOf(since: string, { checkpoint, records, hasMore }: Page, dataset: Delta['dataset']): Delta {
  const complete = !hasMore;
  return { since, checkpoint, records, complete, version: coveredVersion(records, complete), dataset };
}

