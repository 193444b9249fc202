/** A dataset on this device: the stored replica with the steps on top that are not stored yet. */

import { asError, SynclineError } from './errors.ts';
import { same } from './json.ts';
import { Listeners } from './listeners.ts';
import { Draft, EMPTY, patched, viewOf, type Patch, type Replica } from './replica.ts';
import type { Store } from './storage.ts';

/** On which side a change was made: by this device, in whichever tab, or by someone else. */
export type From = 'here' | 'elsewhere';

export interface ChangeEvent {
  /** Records that read otherwise than before. */
  readonly keys: readonly string[];
  readonly from: From;
}

export type Step<T> = (draft: Draft) => T;

interface Job {
  readonly step: Step<unknown>;
  readonly from: From;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What a tab tells the others of a write. */
export interface Written {
  readonly kind: 'written';
  readonly dataset: string;
  readonly patch: Patch;
  readonly from: From;
}

export class LocalDataset {
  readonly key: string;
  readonly #store: Store;
  readonly #changes = new Listeners<ChangeEvent>();
  #stored: Replica = EMPTY;
  #seen: Replica = EMPTY;
  #jobs: Job[] = [];
  #writing: readonly Job[] = [];

  constructor(key: string, store: Store) {
    this.key = key;
    this.#store = store;
  }

  /** What the user sees. */
  get replica(): Replica {
    return this.#seen;
  }

  async load(): Promise<void> {
    this.#stands(await this.#store.load(this.key));
    this.#show(undefined, 'elsewhere');
  }

  listen(listener: (event: ChangeEvent) => void): () => void {
    return this.#changes.add(listener);
  }

  /**
   * Do a step. It is seen at once, and durable when this resolves, with what the step answered. Steps may be done
   * again, on what another tab wrote meanwhile. Rejects with what the step throws, or STORE_UNUSABLE.
   */
  update<T>(step: Step<T>, from: From): Promise<T> {
    const draft = new Draft(this.#seen);
    try {
      step(draft);
    } catch (error) {
      return Promise.reject(error);
    }
    const before = this.#seen;
    const { patch } = draft;
    const stored = new Promise<T>((resolve, reject) => {
      this.#jobs.push({ step, from, resolve: resolve as (value: unknown) => void, reject });
    });
    if (patch) {
      this.#seen = draft.replica;
      this.#tell(before, patch, from);
    }
    if (this.#writing.length === 0) {
      void this.#write();
    }
    return stored;
  }

  /** Another tab wrote. */
  async written({ patch, from }: Written): Promise<void> {
    const { revision } = this.#stored;
    if (patch.revision === revision + 1) {
      this.#stands(patched(this.#stored, patch));
      this.#show(patch, from);
    } else if (patch.revision > revision) {
      this.#stands(await this.#store.load(this.key));
      this.#show(undefined, from);
    }
  }

  #stands(replica: Replica): void {
    if (replica.revision >= this.#stored.revision) {
      this.#stored = replica;
    }
  }

  /** Put the steps that are not stored yet on top of what is stored. */
  #show(patch: Patch | undefined, from: From): void {
    const before = this.#seen;
    let seen = this.#stored;
    for (const { step } of [...this.#writing, ...this.#jobs]) {
      const draft = new Draft(seen);
      try {
        step(draft);
        seen = draft.replica;
      } catch {
        // It does not fit any more: whoever waits for it is told when it is its turn.
      }
    }
    this.#seen = seen;
    this.#tell(before, patch, from);
  }

  async #write(): Promise<void> {
    while (this.#jobs.length > 0) {
      [this.#writing, this.#jobs] = [this.#jobs, []];
      try {
        await this.#writeAll(this.#writing);
      } catch (cause) {
        const jobs = this.#writing;
        this.#writing = [];
        this.#show(undefined, 'here');
        jobs.forEach(({ reject }) => reject(asError(cause, 'STORE_UNUSABLE')));
      }
      this.#writing = [];
    }
  }

  /** One write of the store for all steps that came while the one before was under way. */
  async #writeAll(jobs: readonly Job[]): Promise<void> {
    for (let reloaded = false; ; reloaded = true) {
      const start = this.#stored;
      const outcomes: (() => void)[] = [];
      const draft = new Draft(start);
      for (const { step, resolve, reject } of jobs) {
        try {
          const answer = draft.attempt(step);
          outcomes.push(() => resolve(answer));
        } catch (error) {
          outcomes.push(() => reject(error));
        }
      }
      const { patch } = draft;
      if (patch && !(await this.#store.write(this.key, patch))) {
        this.#stands(await this.#store.load(this.key));
        if (this.#stored === start) {
          throw new SynclineError('STORE_UNUSABLE', 'the storage moves in circles');
        }
        continue;
      }
      this.#writing = [];
      if (patch) {
        const from = jobs.every((job) => job.from === 'here') ? 'here' : 'elsewhere';
        this.#stands({ ...draft.replica, revision: patch.revision });
        this.#store.post({ kind: 'written', dataset: this.key, patch, from } satisfies Written);
      }
      this.#show(reloaded ? undefined : NOTHING, 'elsewhere');
      outcomes.forEach((tell) => tell());
      return;
    }
  }

  /** Tell who listens. `patch`: what may have changed; without it, anything may have. */
  #tell(before: Replica, patch: Patch | undefined, from: From): void {
    if (patch === NOTHING) {
      return;
    }
    const after = this.#seen;
    const keyOf = (id: number) => [before, after].flatMap(({ edits }) => edits.find((edit) => edit.id === id)?.key ?? []);
    const touched = patch
      ? [...patch.records.map(([key]) => key), ...patch.edits.flatMap(([id]) => keyOf(id))]
      : [before, after].flatMap(({ records, edits }) => [...records.keys(), ...edits.map(({ key }) => key)]);
    const keys = [...new Set(touched)].filter((key) => !same(viewOf(before, key), viewOf(after, key)));
    this.#changes.tell({ keys, from });
  }
}

/** What was seen already. */
const NOTHING: Patch = { revision: 0, head: EMPTY.head, batch: undefined, records: [], edits: [] };
