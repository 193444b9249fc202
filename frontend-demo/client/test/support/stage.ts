/** Plays `tests/scenarios/scenarios.json` with this client: what a step says is done, or looked at. Its README says how. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import {
  createClient,
  keepMine,
  keepTheirs,
  SynclineError,
  type Client,
  type Conflict,
  type ConflictPolicy,
  type Dataset,
  type Decision,
  type Edit,
  type Handlers,
  type Json,
  type Keep,
  type Role,
  type SyncReport,
} from '../../src/index.ts';
import { memory } from '../../src/memory.ts';
import { Proxy } from './proxy.ts';
import { REPOSITORY, type Server } from './server.ts';

export type Step = Readonly<Record<string, any>>;

export interface Scenario {
  readonly name: string;
  readonly devices?: Readonly<Record<string, string>>;
  readonly conflictPolicy?: ConflictPolicy;
  readonly steps: readonly Step[];
}

interface File {
  readonly server: Readonly<Record<string, string>>;
  readonly scenarios: readonly Scenario[];
}

export const file = JSON.parse(readFileSync(join(REPOSITORY, 'tests', 'scenarios', 'scenarios.json'), 'utf8')) as File;

const DEVICES = { phone: 'alice', laptop: 'alice' };
let runs = 0;

/** Rejects, naming the step that did not go as the scenario says. */
export async function play(scenario: Scenario, server: Server): Promise<void> {
  const run = `${process.pid}-${++runs}`;
  const stage = new Stage(server);
  try {
    for (const [name, person] of Object.entries(scenario.devices ?? DEVICES)) {
      const actor = new Actor(name, `${person}-${run}`, server, await Proxy.start(server.port), scenario.conflictPolicy);
      stage.actors.set(name, actor);
      await actor.open();
    }
    for (const [index, step] of scenario.steps.entries()) {
      try {
        await stage.act(step);
      } catch (error) {
        throw new Error(`step ${index + 1}, ${JSON.stringify(step)}: ${(error as Error).message}`, { cause: error });
      }
    }
  } finally {
    for (const actor of stage.actors.values()) {
      await actor.close();
    }
  }
}

/** A device of the scenario, with a line of its own to the server. */
class Actor {
  readonly identity: string;
  readonly proxy: Proxy;
  client!: Client;
  notes!: Dataset;
  invitation: string | undefined;
  lookedAt: Conflict | undefined;
  readonly #name: string;
  readonly #server: Server;
  readonly #policy: ConflictPolicy | undefined;
  readonly #storage = memory();
  #id: string | undefined;

  constructor(name: string, identity: string, server: Server, proxy: Proxy, policy: ConflictPolicy | undefined) {
    this.#name = name;
    this.identity = identity;
    this.#server = server;
    this.proxy = proxy;
    this.#policy = policy;
    this.#start();
  }

  #start(): void {
    this.client = createClient({
      url: this.proxy.url,
      auth: () => this.#server.token(this.identity, this.#name),
      deviceId: this.#name,
      storage: this.#storage,
      automatic: false,
      WebSocket,
    });
  }

  /** The app's dataset; from now on another one, if one is named. */
  async open(id: string | undefined = this.#id): Promise<void> {
    this.#id = id;
    const options = this.#policy === undefined ? {} : { conflictPolicy: this.#policy };
    this.notes = await this.client.dataset(id === undefined ? 'notes' : { id }, options);
  }

  /** The app again, on the same storage. */
  async reopen(): Promise<void> {
    await this.client.close();
    this.#start();
    await this.open();
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.proxy.close();
  }
}

export const ASIDES: ReadonlySet<string> = new Set(['device', 'refused', 'answers', 'report', 'meanwhile']);

type Play = (stage: Stage, actor: Actor, argument: any, step: Step) => unknown;

const edit =
  (name: Edit['operation']): Play =>
  (_stage, { notes }, args: readonly unknown[]) =>
    (notes[name] as (...args: readonly unknown[]) => Promise<void>)(...args);

export const KINDS: Readonly<Record<string, Play>> = {
  put: edit('put'),
  remove: edit('remove'),
  merge: edit('merge'),
  increment: edit('increment'),
  max: edit('max'),
  min: edit('min'),
  addToSet: edit('addToSet'),
  removeFromSet: edit('removeFromSet'),

  transaction: (_stage, { notes }, edits: readonly Step[]) =>
    notes.transaction((transaction) => {
      for (const [name, args] of edits.flatMap((one) => Object.entries(one))) {
        (transaction[name as Edit['operation']] as (...args: readonly unknown[]) => void)(...(args as readonly unknown[]));
      }
    }),
  retry: (_stage, { notes }, key: string) => notes.retry(only(notes.parked(), key)),
  discard: (_stage, { notes }, key: string) => notes.discard(only(notes.parked(), key)),

  goes: (_stage, { proxy }, where: string) => {
    assert.ok(where === 'offline' || where === 'online');
    return where === 'offline' ? proxy.refuse() : proxy.accept();
  },
  loses: (_stage, { proxy }, what: string) => {
    assert.equal(what, 'answer');
    proxy.refuseAfterLosingAnswer();
  },
  reopen: (_stage, actor) => actor.reopen(),

  synchronize: async (stage, actor, decisions: Step, step) => {
    const report = plain(await stage.synchronize(actor, handlers(decisions), step['meanwhile']));
    for (const [name, value] of Object.entries(step['report'] ?? {})) {
      assert.ok(name in report, `no report of ${name}`);
      assert.deepEqual(report[name], value, `${name}: ${JSON.stringify(report[name])} and not ${JSON.stringify(value)}`);
    }
  },
  lookAtConflict: (_stage, actor, key: string) => {
    actor.lookedAt = only(actor.notes.conflicts(), key);
  },
  resolveAsLookedAt: (_stage, { notes, lookedAt }, decision: unknown) => {
    assert.ok(lookedAt);
    return notes.resolve(lookedAt, decided(decision));
  },
  resolve: (_stage, { notes }, [key, decision]: [string, unknown]) =>
    notes.resolve(only(notes.conflicts(), key), decided(decision)),

  share: async (stage, { notes }, [whom, role]: [string, Role]) => {
    await notes.share(stage.actor(whom).identity, role);
  },
  changeRole: async (stage, { notes }, [whom, role]: [string, Role]) => {
    await notes.changeRole(stage.actor(whom).identity, role);
  },
  removeMember: (stage, { notes }, whom: string) => notes.removeMember(stage.actor(whom).identity),
  leave: (_stage, { notes }) => notes.leave(),
  open: (stage, actor, whose: string) => actor.open(stage.actor(whose).notes.id),
  invite: async (_stage, actor, role: Role) => {
    const { id, code } = await actor.notes.invite({ role });
    assert.deepEqual((await actor.notes.invitations()).map((each) => each.id), [id]);
    actor.invitation = code;
  },
  revokeInvitations: async (_stage, { notes }) => {
    for (const { id } of await notes.invitations()) {
      await notes.revokeInvitation(id);
    }
  },
  acceptInvitationOf: async (stage, actor, whose: string) => {
    const { id } = await actor.client.acceptInvitation(stage.actor(whose).invitation!);
    assert.deepEqual((await actor.client.datasets()).map((each) => each.id), [id]);
    await actor.open(id);
  },
  deleteDataset: (_stage, { notes }) => notes.delete(),

  expect: (_stage, { notes }, wanted: Step) => {
    for (const [name, value] of Object.entries(wanted)) {
      const look = LOOKS[name];
      assert.ok(look, `nothing to look at: ${name}`);
      const found = look(notes, value);
      assert.deepEqual(found, value, `${name}: ${JSON.stringify(found)} and not ${JSON.stringify(value)}`);
    }
  },
};

/** Those of the whole scenario. */
export const SCENES: Readonly<Record<string, (stage: Stage, argument: any) => Promise<void>>> = {
  server: async ({ server }, what: string) => {
    if (what === 'killed and started') {
      await server.kill();
    } else {
      assert.equal(what, 'restored');
      await server.stop();
      server.renewEpoch();
    }
    await server.start();
  },
  allAgree: async ({ actors }, entries: Readonly<Record<string, Json>>) => {
    for (let round = 0; round < 2; round++) {
      for (const { notes } of actors.values()) {
        await notes.synchronize();
      }
    }
    for (const [name, { notes }] of actors) {
      const found = Object.fromEntries(notes.entries());
      assert.deepEqual(found, entries, `entries of ${name}: ${JSON.stringify(found)}`);
      assert.deepEqual(notes.pending().map(({ key }) => key), [], `pending of ${name}`);
    }
  },
};

/** What `expect` looks at; where `wanted` names less than there is, only that. */
const LOOKS: Readonly<Record<string, (notes: Dataset, wanted: any) => unknown>> = {
  entries: (notes) => Object.fromEntries(notes.entries()),
  keys: (notes) => notes.entries().map(([key]) => key),
  prefixed: (notes, wanted) => ofEach(wanted, (prefix) => notes.entries(prefix).map(([key]) => key)),
  get: (notes, wanted) => ofEach(wanted, (key) => notes.get(key)),
  has: (notes, wanted) => ofEach(wanted, (key) => notes.has(key)),
  size: (notes) => notes.size,
  role: (notes) => notes.role,
  pending: (notes) => notes.pending().map(({ key }) => key),
  conflicts: (notes) =>
    notes.conflicts().map(({ key, mine, theirs, base, author }) => ({ key, mine, theirs, base, author: author?.deviceId })),
  parked: (notes, wanted: readonly Step[]) =>
    notes.parked().map(({ key, operation, argument, code, details }, index) => {
      const all: Step = { key, operation, argument, code, limit: (details as Step | undefined)?.['limit'] };
      return ofEach(wanted[index] ?? all, (name) => all[name]);
    }),
};

class Stage {
  readonly actors = new Map<string, Actor>();
  readonly server: Server;

  constructor(server: Server) {
    this.server = server;
  }

  actor(name: string): Actor {
    const actor = this.actors.get(name);
    assert.ok(actor, `no device ${name}`);
    return actor;
  }

  async act(step: Step): Promise<void> {
    const [kind, ...more] = Object.keys(step).filter((name) => !ASIDES.has(name));
    assert.ok(kind !== undefined && more.length === 0, 'a step says one thing');
    const scene = SCENES[kind];
    if (scene) {
      return scene(this, step[kind]);
    }
    const how = KINDS[kind];
    assert.ok(how, `no such step: ${kind}`);
    const found = await refusal(async () => {
      const answer = await how(this, this.actor(step['device']), step[kind], step);
      if ('answers' in step) {
        assert.equal(answer, step['answers'], `answers ${String(answer)}`);
      }
    });
    assert.equal(found?.code, step['refused'], `refused with ${found?.code}: ${found?.message}`);
  }

  /** `meanwhile` is done when the server has answered the push, and the device does not know. */
  async synchronize({ notes, proxy }: Actor, given: Handlers, meanwhile: readonly Step[] | undefined): Promise<SyncReport> {
    if (meanwhile === undefined) {
      return notes.synchronize(given);
    }
    const { arrived, letGo } = proxy.holdAnswer();
    const underWay = notes.synchronize(given);
    try {
      await Promise.race([arrived, underWay.then(() => assert.fail('nothing was pushed'))]);
      for (const each of meanwhile) {
        await this.act(each);
      }
    } finally {
      letGo();
    }
    return underWay;
  }
}

async function refusal(work: () => Promise<void>): Promise<SynclineError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof SynclineError) {
      return error;
    }
    throw error;
  }
}

function only<T extends { readonly key: string }>(all: readonly T[], key: string): T {
  const [one, ...more] = all.filter((each) => each.key === key);
  assert.ok(one !== undefined && more.length === 0, `${key} is there once`);
  return one;
}

const ofEach = (wanted: Step, look: (name: string) => unknown): Step =>
  Object.fromEntries(Object.keys(wanted).map((name) => [name, look(name)]));

function decided(text: any): Decision {
  assert.ok(text === 'mine' || text === 'theirs' || 'value' in text, `no decision: ${JSON.stringify(text)}`);
  return text === 'mine' ? keepMine : text === 'theirs' ? keepTheirs : { value: text.value };
}

function handlers(decisions: Step): Handlers {
  const known = ['onConflict', 'onDatasetDeleted', 'onResync'];
  assert.deepEqual(Object.keys(decisions).filter((name) => !known.includes(name)), [], 'handlers');
  return ofEach(decisions, (name) => () => (decisions[name] === null ? undefined : (decided(decisions[name]) as Keep)));
}

const plain = ({ pushed, pulled, merged, resolved, deleted, resyncs, conflicts, parked }: SyncReport): Step => ({
  pushed,
  pulled,
  merged,
  resolved,
  deleted,
  resyncs,
  conflicts: conflicts.map(({ key }) => key),
  parked: parked.map(({ key }) => key),
});
