import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Json, SynclineError } from '../src/index.ts';
import { memory } from '../src/memory.ts';
import { clientOf, closeAll, counted, eventually, fragile } from './support/clients.ts';
import { Proxy } from './support/proxy.ts';
import { Server } from './support/server.ts';

let server: Server;
before(async () => {
  server = await Server.start();
});
after(() => server.dispose());
afterEach(closeAll);

const somebody = (): string => `identity-${randomUUID()}`;
const isCode = (code: string) => (error: unknown) => (error as SynclineError).code === code;

test('an edit is sent by itself, and is on the other device without being asked for', async () => {
  const who = somebody();
  const [phone, laptop] = await Promise.all([clientOf(server, who), clientOf(server, who)].map((one) => one.dataset('notes')));
  await phone!.put('shopping', ['milk']);
  await eventually(() => laptop!.has('shopping'), 'the put arrives');
  assert.deepEqual(laptop!.get('shopping'), ['milk']);
  await eventually(() => phone!.pending().length === 0, 'the put is acknowledged');
});

test('what is typed fast goes in few syncs', async () => {
  const client = clientOf(server, somebody(), { debounce: 50 });
  const notes = await client.dataset('notes');
  await notes.synchronize();
  await Promise.all(Array.from({ length: 100 }, (_, at) => notes.put(`key-${at}`, at)));
  await eventually(() => notes.pending().length === 0, 'all is sent');
  const pushes = client.traces.filter(({ kind }) => kind === 'push');
  assert.ok(pushes.length <= 3, `${pushes.length} pushes`);
});

test('a listener learns which keys changed, and whether here or elsewhere', async () => {
  const who = somebody();
  const here = await clientOf(server, who).dataset('notes');
  const there = await clientOf(server, who).dataset('notes');
  const heard: unknown[] = [];
  here.subscribe(({ keys, from }) => keys.length && heard.push([keys, from]));
  await here.put('a', 1);
  assert.deepEqual(heard, [[['a'], 'here']]);
  await here.synchronize();
  assert.equal(heard.length, 1, 'to be sent changes nothing of what is seen');
  await there.put('b', 2);
  await eventually(() => heard.length === 2, 'the other one is told');
  assert.deepEqual(heard[1], [['b'], 'elsewhere']);
});

test('a listener that throws is not in the way of the others, nor of the edit', async (context) => {
  const notes = await clientOf(server, somebody(), { automatic: false }).dataset('notes');
  const later: (() => void)[] = [];
  let heard = 0;
  const stop = notes.subscribe(() => {
    throw new Error('a fault of the app');
  });
  notes.subscribe(() => heard++);
  const { mock } = context.mock.method(globalThis, 'queueMicrotask', (work: () => void) => later.push(work));
  const edited = notes.put('a', 1);
  mock.restore();
  stop();
  await edited;
  assert.ok(heard > 0);
  assert.throws(later[0]!, /a fault of the app/);
});

test('what is read cannot be changed by who reads it', async () => {
  const notes = await clientOf(server, somebody()).dataset('notes');
  const given = { list: [1] };
  await notes.put('a', given);
  given.list.push(2);
  assert.deepEqual(notes.get('a'), { list: [1] });
  assert.throws(() => ((notes.get('a') as { list: number[] }).list[0] = 5), TypeError);
});

test('a transaction sees its own edits; if it throws, nothing of it is kept', async () => {
  const notes = await clientOf(server, somebody()).dataset('notes');
  await notes.transaction((edit) => {
    edit.increment('count');
    edit.put('seen', edit.get('count') ?? null);
  });
  assert.deepEqual(notes.entries(), [['count', 1], ['seen', 1]]);
  const broken = notes.transaction((edit) => {
    edit.put('never', 1);
    throw new Error('changed its mind');
  });
  await assert.rejects(broken, /changed its mind/);
  assert.equal(notes.has('never'), false);
});

test('bad input is refused by name, and nothing is changed', async () => {
  const client = clientOf(server, somebody());
  const notes = await client.dataset('notes');
  let deep: Json = 1;
  for (let level = 0; level < 65; level++) {
    deep = [deep];
  }
  const bad: (() => Promise<unknown>)[] = [
    () => notes.put('', 1),
    () => notes.put('a', undefined as never),
    () => notes.put('a', Number.NaN),
    () => notes.put('a', { f: () => 1 } as never),
    () => notes.put('a', 'lone \ud800'),
    () => notes.put('a', { 'nul \0': 1 }),
    () => notes.put('a', deep),
    () => notes.increment('a', 'x' as never),
    () => notes.max('a', {} as never),
    () => client.dataset('no spaces'),
  ];
  for (const act of bad) {
    await assert.rejects(act, isCode('INVALID_INPUT'), String(act));
  }
  await notes.put('text', 'a \\ud800 that only looks like one');
  assert.deepEqual(notes.entries(), [['text', 'a \\ud800 that only looks like one']]);
});

test('an edit that the disk does not take is said, and not seen any more', async () => {
  const storage = fragile();
  const notes = await clientOf(server, somebody(), { storage, automatic: false }).dataset('notes');
  await notes.put('a', 1);
  storage.failing = true;
  const failed = notes.put('b', 2);
  assert.equal(notes.get('b'), 2, 'it is seen at once');
  await assert.rejects(failed, isCode('STORE_UNUSABLE'));
  assert.deepEqual(notes.entries(), [['a', 1]]);
  storage.failing = false;
  await notes.put('b', 3);
  assert.equal(notes.get('b'), 3);
});

test('a closed client keeps nothing more, and says so', async () => {
  const client = clientOf(server, somebody());
  const notes = await client.dataset('notes');
  await client.close();
  await assert.rejects(notes.put('a', 1), isCode('STORE_UNUSABLE'));
  await assert.rejects(client.datasets(), isCode('OFFLINE'));
});

test('a reload keeps what was edited offline, and sends it', async () => {
  const [who, storage] = [somebody(), memory()];
  const first = clientOf(server, who, { storage });
  first.disconnect();
  const before = await first.dataset('notes');
  await before.put('a', 1);
  await before.increment('n', 2);
  await first.close();
  const after = await clientOf(server, who, { storage }).dataset('notes');
  assert.deepEqual(after.entries(), [['a', 1], ['n', 2]]);
  await eventually(() => after.pending().length === 0, 'it is sent');
});

// --- the connection ------------------------------------------------------------------------------------------------------

test('a token that expires is followed by a fresh one, and nothing is missed', async () => {
  const who = somebody();
  const asked: boolean[] = [];
  const client = clientOf(server, who, {
    auth: ({ deviceId, refused }) => {
      asked.push(refused);
      return server.token(who, deviceId, { seconds: 2 });
    },
  });
  const notes = await client.dataset('notes');
  const other = await clientOf(server, who).dataset('notes');
  await eventually(() => asked.length >= 3, 'it has expired twice');
  await other.put('a', 1);
  await eventually(() => notes.has('a'), 'it goes on');
  assert.ok(client.statuses.every(({ state }) => state !== 'stopped'));
});

test('a token that is refused stops the client until it is told to connect', async () => {
  const who = somebody();
  let token = 'no token at all';
  const asked: boolean[] = [];
  const client = clientOf(server, who, {
    auth: ({ refused }) => {
      asked.push(refused);
      return token;
    },
  });
  const notes = await client.dataset('notes');
  await eventually(() => client.status().state === 'stopped', 'it stops');
  assert.equal(client.status().reason?.code, 'TOKEN_REJECTED');
  assert.deepEqual(asked, [false, true]);
  assert.equal(notes.status().state, 'stopped');
  await notes.put('kept', 1);
  await assert.rejects(notes.synchronize(), isCode('TOKEN_REJECTED'));
  token = server.token(who, null);
  client.connect();
  await eventually(() => notes.pending().length === 0, 'it comes back');
});

test('an auth that throws is asked again', async () => {
  const who = somebody();
  let attempts = 0;
  const client = clientOf(server, who, {
    auth: ({ deviceId }) => {
      if (++attempts < 3) {
        throw new Error('the login service is away');
      }
      return server.token(who, deviceId);
    },
  });
  await client.dataset('notes');
  await eventually(() => client.status().state === 'live', 'it is live in the end');
  const reasons = client.statuses.flatMap(({ reason }) => (reason?.code === 'AUTH_FAILED' ? [reason.message] : []));
  assert.ok(reasons.includes('the login service is away'));
});

test('a storage is for one identity and one device', async () => {
  const storage = memory();
  const first = clientOf(server, somebody(), { storage, deviceId: 'phone' });
  assert.equal((await first.viewer()).deviceId, 'phone');
  await first.close();
  const other = clientOf(server, somebody(), { storage, deviceId: 'phone' });
  await assert.rejects(other.viewer(), isCode('STORE_BELONGS_TO_ANOTHER'));
  assert.equal(other.status().state, 'stopped');
  const elsewhere = clientOf(server, somebody(), { storage, deviceId: 'laptop' });
  await assert.rejects(elsewhere.dataset('notes'), isCode('STORE_BELONGS_TO_ANOTHER'));
});

test('it goes on from where it stands after the server was killed', async () => {
  const own = await Server.start();
  try {
    const who = somebody();
    const client = clientOf(own, who);
    const notes = await client.dataset('notes');
    await notes.put('before', 1);
    await notes.synchronize();
    own.kill();
    await eventually(() => client.status().state === 'offline', 'it is noticed');
    await notes.put('meanwhile', 2);
    await assert.rejects(notes.synchronize(), isCode('OFFLINE'));
    await own.start();
    await eventually(() => notes.pending().length === 0 && notes.status().state === 'live', 'it is back', 60);
    assert.equal(client.traces.findLast(({ kind }) => kind === 'ready')?.['resumed'], true);
    assert.ok(!client.traces.some(({ kind }) => kind === 'resync'));
  } finally {
    await closeAll();
    await own.dispose();
  }
});

test('an increment whose answer was lost is not seen twice when its commit arrives', async () => {
  const proxy = await Proxy.start(server.port);
  try {
    const client = clientOf(server, somebody(), { url: proxy.url });
    const notes = await client.dataset('notes');
    await notes.put('before', 1);
    await eventually(() => notes.pending().length === 0, 'the dataset is there');
    const seen: Json[] = [];
    notes.subscribe(({ keys }) => keys.includes('n') && seen.push(notes.get('n')!));
    proxy.refuseAfterLosingAnswer();
    await notes.increment('n');
    await eventually(() => client.status().state !== 'live', 'the answer is lost');
    assert.equal(notes.pending().length, 1);
    proxy.accept();
    await eventually(() => notes.pending().length === 0 && notes.status().state === 'live', 'it is back', 60);
    assert.deepEqual(seen, [1]);
  } finally {
    await closeAll();
    await proxy.close();
  }
});

test('not automatic: it connects when it is asked to, and only then', async () => {
  const sockets = counted();
  const who = somebody();
  const client = clientOf(server, who, { automatic: false, WebSocket: sockets.WebSocket });
  const notes = await client.dataset('notes');
  await notes.put('a', 1);
  await pause(200);
  assert.equal(sockets.made(), 0);
  const report = await notes.synchronize();
  assert.deepEqual([report.pushed, sockets.made()], [1, 1]);
  const other = await clientOf(server, who).dataset('notes');
  await other.put('b', 2);
  await other.synchronize();
  await pause(200);
  assert.equal(notes.has('b'), false);
  await notes.synchronize();
  assert.equal(notes.get('b'), 2);
});

test('who is told to stay offline does, and edits all the same', async () => {
  const client = clientOf(server, somebody());
  client.disconnect();
  const notes = await client.dataset('notes');
  await notes.put('a', 1);
  await assert.rejects(notes.synchronize(), isCode('OFFLINE'));
  assert.deepEqual([client.status().state, client.online], ['offline', false]);
  client.connect();
  await eventually(() => notes.pending().length === 0, 'it is sent');
});

// --- people --------------------------------------------------------------------------------------------------------------

test('a dataset is shared, and its member learns of each change of its standing', async () => {
  const [owner, guest] = [clientOf(server, somebody()), clientOf(server, somebody())];
  const list = await owner.dataset('list');
  await list.put('milk', 1);
  await list.synchronize();
  const { identityId } = await guest.viewer();
  const invitation = await list.invite({ role: 'EDITOR', uses: 2 });
  assert.deepEqual((await list.invitations()).map(({ id, usesLeft }) => [id, usesLeft]), [[invitation.id, 2]]);
  const joined = await guest.acceptInvitation(invitation.code);
  assert.deepEqual([joined.name, joined.role], ['list', 'EDITOR']);
  const shared = await guest.dataset({ id: joined.id });
  await eventually(() => shared.has('milk') && shared.role === 'EDITOR', 'it is there');
  await shared.put('bread', 2);
  await eventually(() => list.has('bread'), 'the owner has it');
  assert.deepEqual((await list.members()).map(({ role }) => role), ['OWNER', 'EDITOR']);
  assert.deepEqual((await guest.datasets('SHARED')).map(({ id }) => id), [joined.id]);

  await list.changeRole(identityId, 'VIEWER');
  await eventually(() => shared.role === 'VIEWER', 'the role is told');
  await shared.put('beer', 3);
  await eventually(() => shared.parked().length === 1, 'what a viewer edits comes back');
  assert.equal(shared.parked()[0]?.code, 'FORBIDDEN');
  assert.equal(shared.has('beer'), false);

  await list.revokeInvitation(invitation.id);
  assert.deepEqual(await list.invitations(), []);
  await list.removeMember(identityId);
  await eventually(() => shared.status().state === 'stopped', 'the end is told');
  assert.equal(shared.status().reason?.code, 'ACCESS_ENDED');
  await eventually(() => guest.sharings.length === 3, 'all of it is told');
  assert.deepEqual(guest.sharings.map(({ kind }) => kind), ['granted', 'role changed', 'ended']);
});

test('a member leaves; an owner hands over, and deletes', async () => {
  const [owner, guest] = [clientOf(server, somebody()), clientOf(server, somebody())];
  const list = await owner.dataset('list');
  await list.put('milk', 1);
  await list.synchronize();
  const { identityId } = await guest.viewer();
  assert.equal((await list.share(identityId, 'EDITOR')).role, 'EDITOR');
  const shared = await guest.dataset({ id: list.id! });
  await eventually(() => shared.status().state === 'live', 'it is followed');
  await shared.leave();
  await eventually(() => shared.status().reason?.code === 'ACCESS_ENDED', 'it has left');
  await list.share(identityId, 'VIEWER');
  await list.transferOwnership(identityId);
  shared.close();
  const own = await guest.dataset({ id: list.id! });
  await eventually(() => own.role === 'OWNER', 'it is its now');
  await own.delete();
  await eventually(() => own.size === 0, 'it is gone');
});

test('who is here is known, and what they are at', async () => {
  const who = somebody();
  const [phone, laptop] = [clientOf(server, who), clientOf(server, who)];
  const [here, there] = [await phone.dataset('notes'), await laptop.dataset('notes')];
  await here.put('a', 1);
  await here.synchronize();
  const watching = await there.presence();
  const seen: number[] = [];
  watching.subscribe((everyone) => seen.push(everyone.length));
  const present = await here.presence({ at: 'a' });
  await eventually(() => watching.everyone().length === 1, 'it is seen');
  assert.deepEqual(watching.everyone()[0]?.state, { at: 'a' });
  for (let count = 0; count < 200; count++) {
    present.set({ count });
  }
  await eventually(() => (watching.everyone()[0]?.state as { count?: number }).count === 199, 'the last state is told');
  phone.disconnect();
  await eventually(() => watching.everyone().length === 0, 'it is gone');
  phone.connect();
  await eventually(() => watching.everyone().length === 1, 'it is back');
  assert.deepEqual(watching.everyone()[0]?.state, { count: 199 });
  present.close();
  await eventually(() => watching.everyone().length === 0, 'it has left');
  assert.ok(seen.length >= 4);
});
