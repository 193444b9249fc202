/** Devices that are nothing but their replica, moved by the pure steps that move a client's; they note what is done on them. */

import assert from 'node:assert/strict';
import type { ConflictPolicy, Json, JsonObject } from '../../src/index.ts';
import {
  conflicted,
  freeze,
  make,
  resolve,
  resync,
  review,
  settle,
  thaw,
  type Decision,
  type NewEdit,
} from '../../src/outbox.ts';
import { take, type Delta } from '../../src/records.ts';
import { difference, Draft, EMPTY, patched, view, viewOf, type Batch, type Replica } from '../../src/replica.ts';
import { conflictsIn } from '../../src/synchronize.ts';
import type { Answer, Commit, ModelServer } from './model.ts';

const MAX_CHANGES = 3;
const PAGE_SIZE = 3;

/** What someone did to a key on a device. */
interface Act {
  /** What the key read just before, or, of a decision, what the server had. */
  readonly saw: Json | undefined;
  /** What it was to be. */
  readonly wanted: Json | undefined;
  /** Of a decision: what it took the place of. */
  readonly decided?: { readonly mine: Json | undefined };
}

interface Sent {
  readonly batch: Batch;
  readonly since: string;
  readonly fresh: boolean;
  /** Of each key in it, how many acts there were when it was frozen. */
  readonly acts: ReadonlyMap<string, number>;
  readonly answer: { readonly said: Answer; readonly delta: Delta } | 'resync';
}

/** The key that is only written by transactions: each of its edits stays by itself. */
export const OF_TRANSACTIONS = 'both';

export class ModelDevice {
  readonly name: string;
  readonly #server: ModelServer;
  readonly #policy: ConflictPolicy;
  readonly #plain: readonly string[];
  /** By key, in order. */
  readonly #acts = new Map<string, Act[]>();
  /** Of each key, how many of its acts are over: committed, dropped, or found to be no change. */
  readonly #over = new Map<string, number>();
  #replica: Replica = EMPTY;
  #stored: Replica = EMPTY;
  #sent: Sent | undefined;
  /** Of each key in the batch that is under way, how many acts there were when it was frozen. */
  #frozen = new Map<string, number>();
  #ids = 0;

  /** `plain`: keys that are put and removed, each time with another value, and nothing else. */
  constructor(name: string, server: ModelServer, policy: ConflictPolicy, plain: readonly string[] = []) {
    this.name = name;
    this.#server = server;
    this.#policy = policy;
    this.#plain = plain;
  }

  get replica(): Replica {
    return this.#replica;
  }

  /** One step is one write; what is stored of it is what is seen. */
  #step<T>(step: (draft: Draft) => T): T {
    const draft = new Draft(this.#replica);
    const answer = step(draft);
    const patch = difference(this.#replica, draft.replica);
    if (patch) {
      this.#stored = patched(this.#stored, structuredClone(patch));
      this.#replica = { ...draft.replica, revision: patch.revision };
      assert.deepEqual(this.#stored, this.#replica, 'what is stored is what is seen');
    }
    for (const [key, acts] of this.#acts) {
      if (!this.#isLive(key)) {
        this.#over.set(key, acts.length);
      }
    }
    return answer;
  }

  #isLive(key: string): boolean {
    return this.#replica.edits.some((edit) => edit.key === key && edit.state !== 'parked');
  }

  #act(key: string, act: Act): void {
    this.#acts.set(key, [...this.acts(key), act]);
  }

  acts(key: string): readonly Act[] {
    return this.#acts.get(key) ?? [];
  }

  edit(edit: NewEdit): void {
    this.#make([edit], undefined);
  }

  transaction(edits: readonly NewEdit[]): void {
    this.#make(edits, `${this.name}-bundle-${++this.#ids}`);
  }

  #make(edits: readonly NewEdit[], bundle: string | undefined): void {
    const before = this.#replica;
    // Before the step, which looks at what was done to the keys that have no edit.
    edits.forEach(({ key, argument }) => this.#act(key, { saw: viewOf(before, key), wanted: argument }));
    this.#step((draft) => edits.forEach((edit) => make(draft, edit, 'now', bundle)));
  }

  /** Send what is next, unless an answer is awaited. `lost`: on its way there. */
  push(lost: boolean): boolean {
    if (this.#sent) {
      return false;
    }
    const since = this.#replica.head.checkpoint;
    const frozen = this.#step((draft) => freeze(draft, MAX_CHANGES, this.#policy, () => `${this.name}-${++this.#ids}`));
    if (!frozen) {
      return false;
    }
    const { batch, fresh } = frozen;
    if (fresh) {
      this.#frozen = new Map(batch.changes.map(keyOf).map((key) => [key, this.acts(key).length]));
    }
    if (!lost) {
      this.#sent = { batch, since, fresh, acts: this.#frozen, answer: this.#ask(batch, since) };
    }
    return true;
  }

  #ask({ mutationId, changes, atomic }: Batch, since: string): Sent['answer'] {
    // As on the server: who has to start over is told so before anything is done.
    if (!this.#server.pull(since, PAGE_SIZE)) {
      return 'resync';
    }
    const before = this.#server.commits.length;
    const said = this.#server.sync(this.name, mutationId, changes, atomic);
    this.#server.commits.slice(before).forEach((commit) => this.#replacesWhatWasSeen(commit));
    return { said, delta: this.#server.pull(since, PAGE_SIZE)! };
  }

  /** How many acts there were on its key when what a put or a removal says was the last that was done there. */
  #endOf(change: JsonObject, frozen: ReadonlyMap<string, number>): number {
    const key = keyOf(change);
    const wanted = (change['put'] as JsonObject | undefined)?.['value'];
    return this.acts(key).findLastIndex((act, at) => at < frozen.get(key)! && act.wanted === wanted) + 1;
  }

  /** A put or a removal replaces what its maker saw, or decided against, and nothing else. */
  #replacesWhatWasSeen({ key, before, after, change }: Commit): void {
    if (this.#policy !== 'REJECT' || !this.#plain.includes(key)) {
      return;
    }
    const acts = this.acts(key).slice(this.#over.get(key) ?? 0, this.#endOf(change, this.#frozen));
    const first =
      key === OF_TRANSACTIONS
        ? this.acts(key).findLast(({ wanted }) => wanted === after)
        : (acts.findLast(({ decided }) => decided) ?? acts[0]);
    assert.ok(first, `${this.name} committed ${JSON.stringify(change)}, which nobody did there`);
    assert.deepEqual(before, first.saw, `what ${this.name} replaced by ${JSON.stringify(change)} is what was seen`);
  }

  /** The answer to what was sent arrives. */
  receive(): boolean {
    const sent = this.#sent;
    this.#sent = undefined;
    if (!sent) {
      return false;
    }
    const { batch, since, fresh, acts, answer } = sent;
    if (answer === 'resync') {
      this.#step((draft) => {
        if (fresh) {
          thaw(draft, batch);
        }
        resync(draft, 'CHECKPOINT_TOO_OLD', since, this.#policy);
      });
      return true;
    }
    const { said, delta } = answer;
    said.outcomes?.forEach(({ key, status }, index) => {
      if (this.#plain.includes(key) && (status === 'APPLIED' || status === 'UNCHANGED')) {
        this.#over.set(key, this.#endOf(batch.changes[index]!, acts));
      }
    });
    this.#step((draft) =>
      said.outcomes
        ? settle(draft, batch, said.outcomes, delta, this.#policy)
        : conflicted(draft, batch, said.conflicts, delta),
    );
    return true;
  }

  /** The answer is lost on its way here. */
  lose(): void {
    this.#sent = undefined;
  }

  /** One page; the answer is whether there is more. `twice`: it arrives again, as by another tab. */
  pull(twice = false): boolean {
    const since = this.#replica.head.checkpoint;
    const delta = this.#server.pull(since, PAGE_SIZE);
    for (let times = twice ? 2 : 1; times > 0; times--) {
      this.#step((draft) =>
        delta ? take(draft, delta) : resync(draft, 'CHECKPOINT_TOO_OLD', since, this.#policy),
      );
    }
    return !delta?.complete;
  }

  /** The process dies, and comes back with what is stored. */
  reload(): void {
    this.#sent = undefined;
    this.#replica = structuredClone(this.#stored);
    this.#stored = this.#replica;
  }

  /** What a synchronize does before it asks. */
  review(): void {
    this.#step((draft) => review(draft, this.#policy));
  }

  decide(decision: Decision): boolean {
    const [conflict] = conflictsIn(this.#replica);
    if (!conflict) {
      return false;
    }
    const { key, edit, version } = conflict;
    const [theirs, mine] = [conflict.theirs, conflict.mine].map((state) => ('value' in state ? state.value : undefined));
    const wanted = decision === 'theirs' ? theirs : decision === 'mine' ? mine : decision.value;
    this.#act(key, { saw: theirs, wanted, decided: { mine } });
    assert.ok(this.#step((draft) => resolve(draft, edit, version, decision, this.#policy)), 'nothing came in between');
    return true;
  }

  /** What someone put there that was neither committed, nor parked, nor put aside by someone on this device. */
  vanished(key: string): readonly Json[] {
    const acts = this.acts(key);
    const asked = key === OF_TRANSACTIONS ? acts : acts.slice(-1);
    return asked.flatMap(({ wanted, saw, decided }) =>
      wanted === undefined ||
      (decided && wanted === saw) ||
      acts.some((other) => other.decided && other.decided.mine === wanted && other.wanted !== wanted) ||
      this.#server.commits.some((commit) => commit.key === key && commit.device === this.name && commit.after === wanted) ||
      this.#replica.edits.some((edit) => edit.state === 'parked' && edit.key === key && edit.argument === wanted)
        ? []
        : [wanted],
    );
  }

  entries(): [string, Json][] {
    return [...view(this.#replica)];
  }
}

export const keyOf = (change: JsonObject): string => (Object.values(change)[0] as JsonObject)['key'] as string;
