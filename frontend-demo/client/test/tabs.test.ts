/** Clients that share a storage are tabs of one device. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { keepMine, type Client, type Conflict, type SynclineError } from '../src/index.ts';
import { memory } from '../src/memory.ts';
import type { Storage, Store } from '../src/storage.ts';
import { clientOf, closeAll, counted, eventually, fragile } from './support/clients.ts';
import { Server } from './support/server.ts';

let server: Server;
before(async () => {
  server = await Server.start();
});
after(() => server.dispose());
afterEach(closeAll);

function tabs(count: number) {
  const who = `identity-${randomUUID()}`;
  const storage = memory();
  const sockets = counted();
  const clients = Array.from({ length: count }, () => clientOf(server, who, { storage, WebSocket: sockets.WebSocket }));
  return { who, storage, sockets, clients };
}

/** A storage on which messages of other tabs can be held up. */
function hardOfHearing(storage: Storage): { readonly storage: Storage; hold(): void } {
  let hears = true;
  const open = async () => {
    const store = await storage.open();
    let heard: Store['onMessage'];
    return Object.defineProperty(store, 'onMessage', {
      get: () => (hears ? heard : undefined),
      set: (listener: Store['onMessage']) => (heard = listener),
    });
  };
  return { storage: { open }, hold: () => (hears = false) };
}

const open = (clients: readonly ReturnType<typeof clientOf>[]) => Promise.all(clients.map((client) => client.dataset('notes')));

test('tabs have one connection and one device id, and show the same at once', async () => {
  const { clients, sockets } = tabs(3);
  const notes = await open(clients);
  await Promise.all(notes.map((one, at) => one.put(`from-${at}`, at)));
  for (const one of notes) {
    await eventually(() => one.size === 3 && one.pending().length === 0, 'all have all');
  }
  assert.equal(new Set((await Promise.all(clients.map((client) => client.viewer()))).map(({ deviceId }) => deviceId)).size, 1);
  assert.equal(sockets.made(), 1);
});

test('offline, what one tab edits the others show', async () => {
  const { clients } = tabs(2);
  const [here, there] = await open(clients);
  await eventually(() => clients[1]!.status().state === 'live', 'both are live');
  clients[1]!.disconnect();
  await eventually(() => clients[0]!.status().state === 'offline', 'so is the other');
  assert.equal(clients[0]!.online, false);
  const heard: string[] = [];
  there!.subscribe(({ keys, from }) => keys.length && heard.push(`${keys.join()} ${from}`));
  await here!.put('a', 1);
  await eventually(() => there!.get('a') === 1, 'the other one shows it');
  assert.deepEqual(heard, ['a here']);
  await Promise.all([here!.increment('n'), there!.increment('n')]);
  await eventually(() => there!.get('n') === 2 && here!.get('n') === 2, 'both show both');
  assert.deepEqual(here!.pending().map(({ key }) => key), there!.pending().map(({ key }) => key));
  clients[0]!.connect();
  await eventually(() => there!.pending().length === 0, 'it is sent once they are back');
  assert.deepEqual(there!.entries(), [['a', 1], ['n', 2]]);
});

test('edits of two tabs at the same moment are all kept', async () => {
  const { clients } = tabs(2);
  clients[0]!.disconnect();
  const notes = await open(clients);
  await Promise.all(
    Array.from({ length: 100 }, (_, at) => [notes[at % 2]!.put(`key-${at}`, at), notes[at % 2]!.increment('count')]).flat(),
  );
  for (const one of notes) {
    await eventually(() => one.size === 101, 'all are there');
    assert.equal(one.get('count'), 100);
  }
});

test('what a tab puts over a change that another tab knows and it does not is a conflict', async () => {
  const who = `identity-${randomUUID()}`;
  const storage = memory();
  const ears = hardOfHearing(storage);
  const [keeper, tab, laptop] = await open([
    clientOf(server, who, { storage }),
    clientOf(server, who, { storage: ears.storage }),
    clientOf(server, who),
  ]);
  await keeper!.put('a', 'base');
  await eventually(() => laptop!.get('a') === 'base' && tab!.pending().length === 0, 'all have it');
  ears.hold();
  await laptop!.put('a', 'theirs');
  await eventually(() => keeper!.get('a') === 'theirs', 'one tab has it');
  assert.equal(tab!.get('a'), 'base');
  await tab!.put('a', 'mine');
  await eventually(() => keeper!.conflicts().length === 1, 'it is a conflict');
  const [{ mine, theirs, base }] = keeper!.conflicts() as [Conflict];
  assert.deepEqual([mine, theirs, base], [{ value: 'mine' }, { value: 'theirs' }, { value: 'base' }]);
  assert.equal(laptop!.get('a'), 'theirs');
});

test('when the tab that has the connection is closed, another one takes over', async () => {
  const { clients, sockets, who } = tabs(2);
  const [, second] = await open(clients);
  await eventually(() => second!.status().state === 'live' || clients[1]!.status().state === 'live', 'both are live');
  await clients[0]!.close();
  await eventually(() => second!.status().state === 'live', 'the second one follows now');
  const other = await clientOf(server, who).dataset('notes');
  await other.put('a', 1);
  await eventually(() => second!.has('a'), 'it gets what others do');
  assert.equal(sockets.made(), 2);
});

test('when the tab that has the connection is killed, what another one asked is sent again', async () => {
  const who = `identity-${randomUUID()}`;
  const shared = memory();
  const doomed = fragile(shared);
  const first = clientOf(server, who, { storage: doomed });
  const one = await first.dataset('notes');
  await one.synchronize();
  const second = clientOf(server, who, { storage: shared });
  const two = await second.dataset('notes');
  await eventually(() => second.status().state === 'live', 'both are live');
  const asked = Promise.allSettled([two.increment('n'), second.datasets(), two.synchronize()]);
  doomed.kill();
  first.disconnect();
  await asked;
  await eventually(() => two.pending().length === 0 && two.status().state === 'live', 'it is sent');
  assert.equal(two.get('n'), 1);
  const server_ = await clientOf(server, who).dataset('notes');
  await server_.synchronize();
  assert.equal(server_.get('n'), 1);
});

test('the tab that asks to synchronize is the one that decides', async () => {
  const { clients, who } = tabs(2);
  const [first, second] = await open(clients);
  await first!.put('a', 'base');
  await first!.synchronize();
  await eventually(() => second!.get('a') === 'base', 'both have it');
  clients[0]!.disconnect();
  await second!.put('a', 'mine');
  const other = await clientOf(server, who).dataset('notes');
  await other.synchronize();
  await other.put('a', 'theirs');
  await other.synchronize();
  clients[0]!.connect();
  await eventually(() => first!.conflicts().length === 1 && second!.conflicts().length === 1, 'both know of it');
  const report = await second!.synchronize({ onConflict: () => keepMine });
  assert.deepEqual([report.resolved, report.pushed], [1, 1]);
  await eventually(() => first!.get('a') === 'mine' && first!.conflicts().length === 0, 'it is decided for both');
});

test('errors reach the tab that asked, as they are', async () => {
  const { clients } = tabs(2);
  await open(clients);
  await eventually(() => clients.every((client) => client.status().state === 'live'), 'both are live');
  for (const client of clients) {
    await assert.rejects(client.acceptInvitation('no-such-code'), (error: SynclineError) => {
      assert.match(error.code, /^INVITATION|^NOT_FOUND|INVALID/);
      return error instanceof Error && !error.retryable;
    });
  }
});

test('what a tab was present at ends with the tab', async () => {
  const who = `identity-${randomUUID()}`;
  const shared = memory();
  const first = clientOf(server, who, { storage: shared });
  const notes = await first.dataset('notes');
  await notes.put('a', 1);
  await notes.synchronize();
  const doomed = fragile(shared);
  const second = clientOf(server, who, { storage: doomed });
  const there = await second.dataset('notes');
  await eventually(() => second.status().state === 'live', 'both are live');
  await there.presence({ tab: 2 });
  const watching = await (await clientOf(server, who).dataset('notes')).presence();
  await eventually(() => watching.everyone().length === 1, 'it is here');
  doomed.kill();
  await eventually(() => watching.everyone().length === 0, 'it is gone, though the device is still connected');
});

/** What a client says is wanted, at the moment when it tells of the state. */
const toldOnline = (client: Client, state: string): Promise<boolean> =>
  new Promise((resolve) => {
    const stop = client.subscribe((status) => {
      if (status.state === state) {
        stop();
        resolve(client.online);
      }
    });
  });

test('a tab that is told of another status knows already what the other tab wants', async () => {
  const { clients } = tabs(2);
  const [first, second] = clients as unknown as [Client, Client];
  await eventually(() => clients.every((client) => client.status().state === 'live'), 'both are live');
  // Whichever of them has the connection, the other one goes offline with it, and comes back.
  for (const [here, there] of [
    [first, second],
    [second, first],
  ] as const) {
    const left = toldOnline(there, 'offline');
    here.disconnect();
    assert.equal(await left, false);
    const back = toldOnline(there, 'live');
    here.connect();
    assert.equal(await back, true);
  }
});
