/** Push what is pending, pull what is missing, ask for decisions, until all is done. */

import { now, sleep, type Context } from './context.ts';
import { applied, type ConflictPolicy, type Edit } from './edits.ts';
import { SynclineError } from './errors.ts';
import { jsonCopy, type Json } from './json.ts';
import { connected, type Variables } from './link.ts';
import type { LocalDataset } from './local.ts';
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
  pulled: number;
  /** Edits that the server has taken, merged ones included. */
  pushed: number;
  merged: number;
  /** Conflicts that a handler decided. */
  resolved: number;
  /** Those that remain. */
  conflicts: readonly Conflict[];
  /** Edits that were parked meanwhile. */
  parked: readonly Edit[];
  readonly resyncs: ResyncReason[];
  /** The dataset that this device knew was deleted. */
  deleted: boolean;
}

/** Rounds of decisions; records that others keep changing meanwhile are left as conflicts. */
const MAX_ROUNDS = 16;
const ATTEMPTS = 4;
const LONGEST_WAIT_MS = 10_000;

const stateOf = (value: Json | undefined): State => (value === undefined ? { deleted: true } : { value });
const parkedIn = ({ edits }: Replica): readonly Edit[] => edits.filter(({ state }) => state === 'parked');

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

export class Synchronizer {
  readonly #context: Context;
  readonly #local: LocalDataset;
  readonly #ref: DatasetRef;
  readonly #policy: ConflictPolicy | undefined;
  readonly #handlers: Handlers;
  readonly #parkedBefore: ReadonlySet<number>;
  readonly report: SyncReport = {
    pulled: 0,
    pushed: 0,
    merged: 0,
    resolved: 0,
    conflicts: [],
    parked: [],
    resyncs: [],
    deleted: false,
  };
  #maxChanges = 1;
  /** How many requests it took to get the last answer. */
  #attempts = 0;

  /** `policy`: asked for instead of the dataset's own. */
  constructor(context: Context, local: LocalDataset, ref: DatasetRef, policy: ConflictPolicy | undefined, handlers: Handlers) {
    this.#context = context;
    this.#local = local;
    this.#ref = ref;
    this.#policy = policy;
    this.#handlers = handlers;
    this.#parkedBefore = new Set(parkedIn(local.replica).map(({ id }) => id));
  }

  /** Everything; or, without `push`, only what was begun earlier, and the pull. */
  async run(push = true): Promise<SyncReport> {
    await connected(this.#context.link);
    this.#maxChanges = (await this.#context.session()).changesPerSync;
    let resynced: ResyncReason | undefined;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      let since = START;
      const needed = await this.#locked(async () => {
        const reason = await this.#talk(push && resynced === undefined);
        since = this.#local.replica.head.checkpoint;
        return reason;
      });
      if (needed !== undefined) {
        resynced = (await this.#startOver(needed, since)) ?? resynced;
      } else if (resynced !== undefined) {
        await this.#decideAfterResync(resynced);
        resynced = undefined;
      } else {
        if (push) {
          await this.#decideConflicts();
        }
        if (!push || !hasSendable(this.#local.replica)) {
          break;
        }
      }
    }
    return this.#finished();
  }

  #finished(): SyncReport {
    const { replica, key } = this.#local;
    this.report.conflicts = conflictsIn(replica);
    this.report.parked = parkedIn(replica).filter(({ id }) => !this.#parkedBefore.has(id));
    if (this.report.conflicts.length > 0) {
      this.#context.trace('conflict', key, { keys: this.report.conflicts.map((conflict) => conflict.key) });
    }
    return this.report;
  }

  /** The policy that the server will apply, as far as this device knows. */
  #policyOf({ head }: Draft): ConflictPolicy | undefined {
    return this.#policy ?? head.policy;
  }

  #locked<T>(work: () => Promise<T>): Promise<T> {
    return this.#context.store.lock(`talk ${this.#local.key}`, this.#context.closing, work);
  }

  // --- talking to the server -------------------------------------------------------------------------------------------

  async #ask<T>(query: string, variables: Variables): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#attempts = attempt;
        return await this.#context.link.request<T>(query, variables);
      } catch (error) {
        const { retryable, code, facts } = error as SynclineError;
        if (!retryable || code === 'OFFLINE' || attempt === ATTEMPTS) {
          throw error;
        }
        const least = Number(facts?.['retryAfter'] ?? 0) * 1000;
        await sleep(Math.min(LONGEST_WAIT_MS, least + Math.random() * 250 * 2 ** attempt));
      }
    }
  }

  /** Push all there is, then pull to the end; the answer says why the device has to start over first. */
  async #talk(push: boolean): Promise<ResyncReason | undefined> {
    for (let complete = false; ; ) {
      const id = crypto.randomUUID();
      const frozen = await this.#local.update(
        (draft) =>
          push || draft.batch ? freeze(draft, this.#maxChanges, this.#policyOf(draft), () => id) : undefined,
        'elsewhere',
      );
      if (frozen === undefined) {
        return complete ? undefined : this.#pull();
      }
      const answer = await this.#push(frozen.batch, frozen.fresh);
      if (typeof answer === 'string') {
        return answer;
      }
      complete = answer;
    }
  }

  async #pull(): Promise<ResyncReason | undefined> {
    for (;;) {
      const since = this.#local.replica.head.checkpoint;
      const { changes, dataset } = await this.#ask<PullData>(PULL, { dataset: this.#ref, since });
      if (changes.__typename === 'ResyncRequired') {
        return changes.reason;
      }
      const delta = deltaOf(since, changes, dataset);
      const taken = this.#took(await this.#local.update((draft) => take(draft, delta), 'elsewhere'));
      if (taken && changes.records.length > 0) {
        this.#context.trace('pulled', this.#local.key, { records: changes.records.length, version: delta.version });
      }
      if (taken && !changes.hasMore) {
        return undefined;
      }
    }
  }

  /** Whether this device now holds all that the server holds; or why it has to start over. */
  async #push(batch: Batch, fresh: boolean): Promise<boolean | ResyncReason> {
    const { key, replica } = this.#local;
    const since = replica.head.checkpoint;
    const began = performance.now();
    this.#context.trace('push', key, { changes: batch.changes.length, mutationId: batch.mutationId });
    let sync: SyncData['sync'];
    try {
      const { mutationId, changes, atomic } = batch;
      const input = { dataset: this.#ref, since, mutationId, changes, onConflict: this.#policy ?? null, atomic };
      ({ sync } = await this.#ask<SyncData>(SYNC, { input }));
    } catch (error) {
      await this.#refused(batch, error as SynclineError);
      return false;
    }
    if (sync.__typename === 'ResyncRequired') {
      if (fresh && this.#attempts === 1) {
        // It was sent once, and this is the answer, so it was not applied: its edits can still be decided about.
        await this.#local.update((draft) => thaw(draft, batch), 'elsewhere');
      }
      return sync.reason;
    }
    const delta = deltaOf(since, sync, sync.dataset);
    const answer = sync;
    const news = await this.#local.update(
      (draft) =>
        answer.__typename === 'SyncApplied'
          ? settle(draft, batch, answer.results, delta, this.#policyOf(draft))
          : conflicted(draft, batch, answer.conflicts, delta),
      'elsewhere',
    );
    const statuses = answer.__typename === 'SyncApplied' ? answer.results.map(({ status }) => status) : ['CONFLICT'];
    this.#context.trace('pushed', key, { version: delta.version, statuses, milliseconds: performance.now() - began });
    this.report.merged += statuses.filter((status) => status === 'MERGED').length;
    this.report.pushed += statuses.filter((status) => status !== 'CONFLICT' && status !== 'REJECTED').length;
    for (const edit of parkedIn(this.#local.replica).filter(({ id }) => editIds(replica, batch).has(id))) {
      this.#context.trace('parked', key, { key: edit.key, code: edit.code });
    }
    return this.#took(news) && delta.complete;
  }

  /** False: nothing was taken in, because another pull was faster. */
  #took(news: number | undefined): boolean {
    this.report.pulled += news ?? 0;
    return news !== undefined;
  }

  /** The server takes no part of the batch. Find the change that it is about, and park no other one. */
  async #refused(batch: Batch, error: SynclineError): Promise<void> {
    const { code, facts, retryable } = error;
    if (!(error instanceof SynclineError) || retryable || code === 'OFFLINE') {
      throw error;
    }
    const ofAll = (code === 'UNAUTHENTICATED' || code === 'FORBIDDEN') && !('role' in facts);
    const count = editIds(this.#local.replica, batch).size;
    const rethrow = await this.#local.update((draft) => {
      if (code === 'MUTATION_ID_REUSED' && sendEarlier(draft, batch)) {
        return false;
      }
      if (ofAll || facts['limit'] === 'datasets') {
        thaw(draft, batch);
        return true;
      }
      if (count > 1 && !batch.atomic) {
        thaw(draft, batch);
      } else {
        park(draft, batch, code, jsonCopy(facts, 'details'));
      }
      return false;
    }, 'elsewhere');
    if (rethrow) {
      throw error;
    }
    if (count > 1 && !batch.atomic) {
      this.#maxChanges = Math.max(1, Math.floor(count / 2));
    } else {
      this.#context.trace('parked', this.#local.key, { code });
    }
  }

  // --- decisions -------------------------------------------------------------------------------------------------------

  async #startOver(reason: ResyncReason, since: string): Promise<ResyncReason | undefined> {
    this.report.resyncs.push(reason);
    this.#context.trace('resync', this.#local.key, { reason });
    if (reason === 'DATASET_RECREATED') {
      await this.datasetDeleted(since);
      return undefined;
    }
    const started = await this.#locked(() =>
      this.#local.update((draft) => resync(draft, reason, since, this.#policyOf(draft)), 'elsewhere'),
    );
    return started ? reason : undefined;
  }

  /** The dataset in which the device stands at `since` is deleted. */
  async datasetDeleted(since: string): Promise<void> {
    const keep = (await this.#handlers.onDatasetDeleted?.(this.#ref)) ?? undefined;
    const madeAt = now();
    const done = await this.#locked(() =>
      this.#local.update((draft) => datasetDeleted(draft, keep, since, madeAt), 'elsewhere'),
    );
    if (done) {
      this.report.deleted = true;
      this.#context.trace('deleted', this.#local.key);
    }
  }

  async #decideAfterResync(reason: ResyncReason): Promise<void> {
    const edits = unsent(this.#local.replica);
    const keep = await this.#handlers.onResync?.({ reason, edits });
    if (keep) {
      await this.#local.update((draft) => decideUnsent(draft, edits, keep, this.#policyOf(draft)), 'here');
    }
  }

  /** Ask for each held conflict. What was decided is sent in the next round. */
  async #decideConflicts(): Promise<void> {
    if (conflictsIn(this.#local.replica).length === 0) {
      return;
    }
    await this.#local.update((draft) => review(draft, this.#policyOf(draft)), 'elsewhere');
    for (const conflict of conflictsIn(this.#local.replica)) {
      const decision = await this.#handlers.onConflict?.(conflict);
      if (decision && (await decide(this.#local, conflict, decision))) {
        this.report.resolved++;
      }
    }
  }
}

const editIds = (replica: Replica, batch: Batch): ReadonlySet<number> =>
  new Set(editsIn(replica, batch).map(({ id }) => id));

function deltaOf(since: string, { checkpoint, records, hasMore }: Page, dataset: Delta['dataset']): Delta {
  const complete = !hasMore;
  return { since, checkpoint, records, complete, version: coveredVersion(records, complete), dataset };
}

