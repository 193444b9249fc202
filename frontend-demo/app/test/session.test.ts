import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { NEW_DEVICE } from '../src/demo/device.ts';
import { CHANGES, DATASET_CHANGES, SYNC, type Commit } from '../src/demo/protocol.ts';
import { Session, type World } from '../src/demo/session.ts';
import { DemoUnavailable } from '../src/demo/token.ts';
import { OperationFailed, type Link, type LinkListener, type StreamListener } from '../src/demo/transport.ts';

interface Asked {
  query: string;
  variables: Record<string, unknown>;
  answer(data: unknown): void;
  fail(error: Error): void;
}

/** A link that the test speaks for. */
class FakeLink implements Link {
  readonly asked: Asked[] = [];
  closed = false;
  stream: StreamListener<unknown> | null = null;
  since: unknown;
  readonly listener: LinkListener;

  constructor(listener: LinkListener) {
    this.listener = listener;
  }

  request<Data>(query: string, variables: Record<string, unknown>): Promise<Data> {
    return new Promise((resolve, reject) =>
      this.asked.push({ query, variables, answer: (data) => resolve(data as Data), fail: reject }),
    );
  }

  subscribe<Data>(query: string, variables: Record<string, unknown>, stream: StreamListener<Data>): () => void {
    assert.equal(query, DATASET_CHANGES);
    this.stream = stream as StreamListener<unknown>;
    this.since = variables.since;
    return () => (this.stream = null);
  }

  close(): void {
    this.closed = true;
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

async function aSession(context: TestContext, world: Partial<World> = {}) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const links: FakeLink[] = [];
  let ids = 0;
  const session = new Session(NEW_DEVICE, {
    fetchToken: () => Promise.resolve('token'),
    connect: (_token, listener) => {
      const link = new FakeLink(listener);
      links.push(link);
      return link;
    },
    newId: () => `m${(ids += 1)}`,
    random: () => 1,
    changed: () => {},
    ...world,
  });
  session.start();
  await turn();
  const link = (place: number) => links[place] ?? assert.fail(`there is no link ${place}`);
  return { session, links, link };
}

const EMPTY_PAGE = { changes: { __typename: 'ChangePage', records: [], checkpoint: 'c0', hasMore: false } };
const READY = { datasetChanges: { __typename: 'Ready', resumed: true } };

async function live(link: FakeLink): Promise<void> {
  link.listener.connected();
  assert.equal(link.asked[0]?.query, CHANGES);
  link.asked[0].answer(EMPTY_PAGE);
  await turn();
  link.stream?.next(READY);
}

test('a session pulls, listens from there, and is live', async (context) => {
  const { session, link } = await aSession(context);
  await live(link(0));
  assert.equal(link(0).since, 'c0');
  assert.equal(session.device.stream, 'live');
});

test('a change is pushed at once', async (context) => {
  const { session, link } = await aSession(context);
  await live(link(0));
  session.dispatch({ type: 'changed', change: { kind: 'increment', key: 'n', by: 1 } });
  const asked = link(0).asked.at(-1);
  assert.equal(asked?.query, SYNC);
  assert.deepEqual(asked.variables.input, {
    dataset: { name: 'demo-list' },
    since: 'c0',
    mutationId: 'm1',
    changes: [{ increment: { key: 'n', by: 1 } }],
    onConflict: 'REJECT',
    atomic: false,
  });
});

test('a lost link is opened again after a while, and what had no answer goes again', async (context) => {
  const { session, links, link } = await aSession(context);
  await live(link(0));
  session.dispatch({ type: 'changed', change: { kind: 'increment', key: 'n', by: 1 } });
  link(0).listener.lost('gone');
  await turn();
  assert.equal(links.length, 1);
  context.mock.timers.tick(500);
  await turn();
  link(1).listener.connected();
  assert.deepEqual(link(1).asked[0]?.variables, link(0).asked[1]?.variables);
});

test('what an earlier link still has to say is not heard', async (context) => {
  const { session, link } = await aSession(context);
  await live(link(0));
  const stream = link(0).stream;
  session.dispatch({ type: 'switched', online: false });
  const commit: Commit = { __typename: 'Commit', previous: 'c0', checkpoint: 'c1', version: 1, records: [] };
  stream?.next({ datasetChanges: commit });
  assert.equal(session.device.replica.checkpoint, 'c0');
  assert.ok(link(0).closed);
});

test('a failure that can pass makes the device wait and try again', async (context) => {
  const { session, links, link } = await aSession(context);
  link(0).listener.connected();
  link(0).asked[0]?.fail(new OperationFailed('busy', 'OVERLOADED', true));
  await turn();
  assert.equal(session.device.link, 'waiting');
  context.mock.timers.tick(500);
  await turn();
  assert.equal(links.length, 2);
});

test('a failure that cannot pass stops the device', async (context) => {
  const { session, link } = await aSession(context);
  link(0).listener.connected();
  link(0).asked[0]?.fail(new OperationFailed('no such thing', 'INVALID_INPUT', false));
  await turn();
  assert.equal(session.device.halted, 'no such thing (INVALID_INPUT)');
});

test('without dev mode the device says so and stops', async (context) => {
  const { session, links } = await aSession(context, {
    fetchToken: () => Promise.reject(new DemoUnavailable('start it with --dev')),
  });
  assert.equal(session.device.halted, 'start it with --dev');
  assert.equal(links.length, 0);
});

test('the wait grows with each failure and has an end', async (context) => {
  let tries = 0;
  const fetchToken = () => {
    tries += 1;
    return Promise.reject(new Error('refused'));
  };
  await aSession(context, { fetchToken });
  for (const [place, delay] of [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000].entries()) {
    context.mock.timers.tick(delay - 1);
    await turn();
    assert.equal(tries, place + 1);
    context.mock.timers.tick(1);
    await turn();
    assert.equal(tries, place + 2);
  }
});
