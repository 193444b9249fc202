/** A dataset on this device: the stored replica with the steps on top that are not stored yet. */

import { asError } from './errors.ts';
import { same } from './json.ts';
import { listeners } from './listeners.ts';
import { difference, Draft, EMPTY, patched, viewOf, type Patch, type Replica } from './replica.ts';
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
  readonly dataset: string;
  readonly patch: Patch;
  readonly from: From;
}

export interface LocalDataset {
  readonly key: string;
  /** What the user sees. */
  readonly replica: Replica;
  load(): Promise<void>;
  listen(listener: (event: ChangeEvent) => void): () => void;
  /**
   * Do a step. It is seen at once, and durable when this resolves, with what the step answered. Steps may be done
   * again, on what another tab wrote meanwhile. Rejects with what the step throws, or STORE_UNUSABLE.
   */
  update<T>(step: Step<T>, from: From): Promise<T>;
  /** Another tab wrote. */
  written(written: Written): Promise<void>;
}

export function localDataset(key: string, store: Store): LocalDataset {
  const changes = listeners<ChangeEvent>();
  let stored = EMPTY;
  let seen = EMPTY;
  let jobs: readonly Job[] = [];
  let writing: readonly Job[] = [];
  let busy = false;

  const stands = (replica: Replica) => {
    if (replica.revision >= stored.revision) {
      stored = replica;
    }
  };

  /** Show another state, and tell who listens. */
  function show(next: Replica, from: From): void {
    const [before, patch] = [seen, difference(seen, next)];
    seen = next;
    if (patch) {
      const old = new Map(before.edits.map((edit) => [edit.id, edit.key]));
      const touched = [...patch.records.map(([name]) => name), ...patch.edits.map(([id, edit]) => edit?.key ?? old.get(id)!)];
      const keys = [...new Set(touched)].filter((name) => !same(viewOf(before, name), viewOf(seen, name)));
      changes.tell({ keys, from });
    }
  }

  /** Put the steps that are not stored yet on top of what is stored. */
  function replayed(): Replica {
    const draft = new Draft(stored);
    for (const { step } of [...writing, ...jobs]) {
      try {
        draft.attempt(step);
      } catch {
        // It does not fit any more: whoever waits for it is told when it is its turn.
      }
    }
    return draft.replica;
  }

  async function reload(): Promise<void> {
    stands(await store.load(key));
  }

  async function write(): Promise<void> {
    busy = true;
    while (jobs.length) {
      [writing, jobs] = [jobs, []];
      const mine = writing;
      try {
        await writeAll(mine);
      } catch (cause) {
        writing = [];
        show(replayed(), 'here');
        mine.forEach(({ reject }) => reject(asError(cause, 'STORE_UNUSABLE')));
      }
    }
    busy = false;
  }

  /** One write of the store for all steps that came while the one before was under way. */
  async function writeAll(mine: readonly Job[]): Promise<void> {
    for (let again = false; ; again = true) {
      const draft = new Draft(stored);
      const outcomes = mine.map(({ step, resolve, reject }) => {
        try {
          const answer = draft.attempt(step);
          return () => resolve(answer);
        } catch (error) {
          return () => reject(error);
        }
      });
      const next = draft.replica;
      const patch = difference(stored, next);
      if (patch && !(await store.write(key, patch))) {
        await reload();
        continue;
      }
      writing = [];
      if (patch) {
        const from = mine.every((job) => job.from === 'here') ? 'here' : 'elsewhere';
        stands({ ...next, revision: patch.revision });
        store.post({ dataset: key, patch, from } satisfies Written);
      }
      if (again) {
        show(replayed(), 'elsewhere');
      } else {
        // It was seen already.
        seen = replayed();
      }
      outcomes.forEach((answer) => answer());
      return;
    }
  }

  return {
    key,
    get replica() {
      return seen;
    },
    async load() {
      await reload();
      seen = stored;
    },
    listen: changes.add,
    update<T>(step: Step<T>, from: From) {
      return new Promise<T>((resolve, reject) => {
        const draft = new Draft(seen);
        // What it throws rejects the promise.
        step(draft);
        jobs = [...jobs, { step, from, resolve: resolve as (value: unknown) => void, reject }];
        show(draft.replica, from);
        if (!busy) {
          void write();
        }
      });
    },
    async written({ patch, from }) {
      if (patch.revision === stored.revision + 1) {
        stands(patched(stored, patch));
      } else if (patch.revision > stored.revision) {
        await reload();
      }
      show(replayed(), from);
    },
  };
}
