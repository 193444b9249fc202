/** Whatever is done, in whatever order, and whatever is lost: the pure part against what people did and the contract. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SynclineError, type Edit, type Json, type JsonObject } from '../src/index.ts';
import { order, threeWayMerge } from '../src/operations.ts';
import { ModelDevice, OF_TRANSACTIONS } from './support/devices.ts';
import { ModelServer, REFUSED, result } from './support/model.ts';
import { RUNS } from './support/runs.ts';

const DEVICES = ['phone', 'laptop', 'tablet'];
const NOTES = ['note-1', 'note-2'];
const COUNTERS = ['count-1', 'count-2'];
const SETS = ['set-1', 'set-2'];
/** The sum of these two stays 0: what goes from one to the other goes in one transaction. */
const [FROM, TO] = ['balance-from', 'balance-to'] as const;

type Doing =
  | { readonly do: 'put' | 'put refused' | 'remove' | 'increment' | 'add'; readonly at: number }
  | { readonly do: 'transfer'; readonly by: number }
  | { readonly do: 'push' | 'receive' | 'lose' | 'lost push' | 'pull' | 'pull twice' | 'reload' | 'review' | 'prune' }
  | { readonly do: 'decide'; readonly as: 'mine' | 'theirs' | 'own' };

const at = fc.nat({ max: 1 });
const plain = (name: string, weight: number) => ({ weight, arbitrary: fc.constant({ do: name } as Doing) });
const doing: fc.Arbitrary<Doing> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('put' as const), at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('put refused' as const), at }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('remove' as const, 'increment' as const, 'add' as const), at }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('transfer' as const), by: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('decide' as const), as: fc.constantFrom('mine', 'theirs', 'own') }) },
  plain('push', 8),
  plain('receive', 6),
  plain('lose', 1),
  plain('lost push', 1),
  plain('pull', 4),
  plain('pull twice', 1),
  plain('reload', 2),
  plain('review', 2),
  plain('prune', 1),
) as fc.Arbitrary<Doing>;

class World {
  readonly server: ModelServer;
  readonly devices: readonly ModelDevice[];
  readonly sums = new Map<string, number>();
  readonly members = new Map<string, string[]>();
  #values = 0;

  constructor(policy: 'REJECT' | 'LAST_WRITER_WINS') {
    this.server = new ModelServer({ lastWriterWins: policy === 'LAST_WRITER_WINS' });
    this.devices = DEVICES.map((name) => new ModelDevice(name, this.server, policy, [...NOTES, OF_TRANSACTIONS]));
  }

  act(device: ModelDevice, doing: Doing): void {
    const unique = `${device.name} ${++this.#values}`;
    switch (doing.do) {
      case 'put':
        return device.edit({ key: NOTES[doing.at]!, operation: 'put', argument: unique });
      case 'put refused':
        return device.edit({ key: NOTES[doing.at]!, operation: 'put', argument: `${REFUSED} ${unique}` });
      case 'remove':
        return device.edit({ key: NOTES[doing.at]!, operation: 'remove' });
      case 'increment': {
        const key = COUNTERS[doing.at]!;
        this.sums.set(key, (this.sums.get(key) ?? 0) + this.#values);
        return device.edit({ key, operation: 'increment', argument: this.#values });
      }
      case 'add': {
        const key = SETS[doing.at]!;
        this.members.set(key, [...(this.members.get(key) ?? []), unique]);
        return device.edit({ key, operation: 'addToSet', argument: [unique] });
      }
      case 'transfer':
        return device.transaction([
          { key: FROM, operation: 'increment', argument: -doing.by },
          { key: OF_TRANSACTIONS, operation: 'put', argument: unique },
          { key: TO, operation: 'increment', argument: doing.by },
        ]);
      case 'decide':
        return void device.decide(doing.as === 'own' ? { value: `${unique} instead` } : doing.as);
      case 'push':
        return void device.push(false);
      case 'lost push':
        return void device.push(true);
      case 'receive':
        return void device.receive();
      case 'lose':
        return device.lose();
      case 'pull':
        return void device.pull();
      case 'pull twice':
        return void device.pull(true);
      case 'reload':
        return device.reload();
      case 'review':
        return device.review();
      case 'prune':
        // A tombstone is kept for longer than anything is under way.
        this.devices.forEach((each) => each.lose());
        return this.server.prune();
    }
  }

  /** What holds at any time. */
  holds(): void {
    assert.equal(((this.server.value(FROM) ?? 0) as number) + ((this.server.value(TO) ?? 0) as number), 0, 'all or nothing');
    for (const device of this.devices) {
      const seen = new Map(device.entries());
      for (const key of SETS) {
        const own = (this.members.get(key) ?? []).filter((member) => member.startsWith(device.name));
        const there = (seen.get(key) ?? []) as string[];
        assert.deepEqual(own.filter((member) => !there.includes(member)), [], `${device.name} reads all that it added`);
      }
      for (const key of NOTES) {
        const last = device.acts(key).at(-1);
        if (last && device.replica.edits.some((edit) => edit.key === key && edit.state !== 'parked')) {
          assert.equal(seen.get(key), this.#shown(device, key), `${device.name} reads what was last done to ${key}`);
        }
      }
    }
  }

  /** What was last put there, but for what was refused and for what was decided against. */
  #shown(device: ModelDevice, key: string): Json | undefined {
    const parked = new Set(device.replica.edits.filter(({ state }) => state === 'parked').map(({ argument }) => argument));
    return device.acts(key).findLast(({ wanted }) => wanted === undefined || !parked.has(wanted))?.wanted;
  }

  /** All that is under way arrives, and all that waits is decided. */
  settle(): void {
    for (let round = 0; round < 40; round++) {
      let moved = false;
      for (const device of this.devices) {
        moved = device.receive() || moved;
        while (device.pull()) {
          moved = true;
        }
        device.review();
        while (device.decide('mine')) {
          moved = true;
        }
        moved = device.push(false) || moved;
      }
      if (!moved) {
        return;
      }
    }
    assert.fail('it does not come to rest');
  }

  converged(): void {
    for (const device of this.devices) {
      assert.deepEqual(device.replica.edits.filter(({ state }) => state !== 'parked'), [], `${device.name} has sent all`);
      assert.deepEqual(new Map(device.entries()), new Map(this.server.entries()), `${device.name} holds what the server holds`);
      for (const key of [...NOTES, OF_TRANSACTIONS]) {
        assert.deepEqual(device.vanished(key), [], `nothing that ${device.name} put to ${key} has vanished`);
      }
    }
    for (const [key, sum] of this.sums) {
      assert.equal(this.server.value(key), sum, `${key} was incremented by all, once`);
    }
    for (const [key, members] of this.members) {
      assert.deepEqual([...(this.server.value(key) as string[])].sort(), [...members].sort(), `${key} has all members`);
    }
  }
}

for (const policy of ['REJECT', 'LAST_WRITER_WINS'] as const) {
  test(`no edit is lost, doubled or put over what nobody saw: ${policy}`, () => {
    const steps = fc.array(fc.tuple(fc.nat({ max: DEVICES.length - 1 }), doing), { maxLength: 120, size: 'max' });
    fc.assert(
      fc.property(steps, (all) => {
        const world = new World(policy);
        for (const [device, doing] of all) {
          world.act(world.devices[device]!, doing);
          world.holds();
        }
        world.settle();
        world.holds();
        world.converged();
      }),
      { numRuns: RUNS.properties },
    );
  });
}

const number = fc.integer({ min: -5, max: 5 });
const text = fc.constantFrom('', 'a', 'b', '\uffff', '\u{1f600}');
const members = fc.array(number, { maxLength: 3 });
const fields = (value: fc.Arbitrary<Json>) => fc.dictionary(fc.constantFrom('a', 'b', 'toString'), value, { maxKeys: 3, noNullPrototype: true });
const value: fc.Arbitrary<Json> = fc.oneof(number, text, members, fields(fc.oneof(number, fields(number))));
const patch = fields(fc.oneof(number, fc.constant(null), fields(fc.oneof(number, fc.constant(null)))));

/** An operation, and how its argument is called in a change. */
const operation = fc.oneof(
  ...(
    [
      ['put', 'value', value],
      ['merge', 'patch', patch],
      ['increment', 'by', number],
      ['max', 'value', fc.oneof(number, text)],
      ['min', 'value', fc.oneof(number, text)],
      ['addToSet', 'members', members],
      ['removeFromSet', 'members', members],
    ] as const
  ).map(([name, field, argument]) => fc.record({ name: fc.constant(name), field: fc.constant(field), argument: argument as fc.Arbitrary<Json> })),
  fc.constant({ name: 'remove', field: 'value', argument: undefined } as const),
);

test('alone, a device reads what was done on it, one after the other, and so does the server in the end', () => {
  const edit = fc.record({ do: fc.constant('edit' as const), key: fc.constantFrom('a', 'b'), operation });
  const step = fc.oneof(
    { weight: 6, arbitrary: edit },
    { weight: 4, arbitrary: fc.constantFrom(...(['push', 'receive', 'lose', 'lost push', 'pull', 'reload'] as const).map((name) => ({ do: name }))) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const server = new ModelServer({ lastWriterWins: false });
      const device = new ModelDevice('phone', server, 'REJECT');
      const values = new Map<string, Json>();
      for (const step of steps) {
        if (step.do !== 'edit') {
          const doing = {
            push: () => device.push(false),
            'lost push': () => device.push(true),
            receive: () => device.receive(),
            lose: () => device.lose(),
            // Before the outcome of a push is known, no client pulls: what was pushed would be seen twice.
            pull: () => device.replica.batch ?? device.pull(),
            reload: () => device.reload(),
          };
          doing[step.do]();
        } else {
          const { key, operation } = step;
          const after = attempt(() => result(operation.name, { [operation.field]: operation.argument } as JsonObject, values.get(key)), RangeError);
          const made = attempt(
            () => device.edit({ key, operation: operation.name as Edit['operation'], argument: operation.argument }),
            SynclineError,
          );
          assert.equal(made.failed, after.failed, 'an edit that does not fit is refused when it is made');
          if (after.failed === false) {
            if (after.answer === undefined) {
              values.delete(key);
            } else {
              values.set(key, after.answer);
            }
          }
        }
        assert.deepEqual(new Map(device.entries()), values);
      }
      while (device.receive() || device.push(false)) {
        assert.deepEqual(new Map(device.entries()), values);
      }
      assert.deepEqual(device.replica.edits, []);
      assert.deepEqual(new Map(server.entries()), values);
    }),
    { numRuns: RUNS.properties },
  );
});

function attempt<T>(work: () => T, refusal: new (...args: never[]) => Error): { failed: true } | { failed: false; answer: T } {
  try {
    return { failed: false, answer: work() };
  } catch (error) {
    assert.ok(error instanceof refusal, String(error));
    return { failed: true };
  }
}

test('a three-way merge keeps what either side changed, and of what both changed what is mine', () => {
  const object = fields(fc.oneof(number, fields(number))) as fc.Arbitrary<JsonObject>;
  const leaves = (value: Json | undefined, path: string, found: Map<string, Json>): Map<string, Json> => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      Object.entries(value).forEach(([name, item]) => leaves(item, `${path}/${name}`, found));
    } else if (value !== undefined) {
      found.set(path, value);
    }
    return found;
  };
  fc.assert(
    fc.property(object, object, object, (base, theirs, mine) => {
      assert.deepEqual(threeWayMerge(base, base, mine), mine);
      assert.deepEqual(threeWayMerge(base, theirs, base), theirs);
      const [was, wanted, merged] = [base, mine, threeWayMerge(base, theirs, mine)].map((each) => leaves(each, '', new Map()));
      for (const [path, value] of wanted!) {
        if (was!.get(path) !== value) {
          assert.equal(merged!.get(path), value, `${path} is what I made it`);
        }
      }
    }),
    { numRuns: RUNS.properties },
  );
});

test('texts are in the order of their code points', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      assert.equal(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))), order(a) < order(b) ? -1 : order(a) > order(b) ? 1 : 0);
    }),
    { numRuns: RUNS.properties },
  );
});
