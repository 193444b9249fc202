/** Clients on one storage are tabs of one device. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { createClient, type Client } from '../src/index.ts';
import { memory } from '../src/memory.ts';
import { Server } from './support/server.ts';

/** What the client says is wanted, at the moment when it tells of the state. */
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
  const server = await Server.start();
  const storage = memory();
  const tab = () => createClient({ url: server.url, auth: () => server.token('ana', 'phone'), deviceId: 'phone', storage, WebSocket });
  const tabs = [tab(), tab()];
  const [first, second] = tabs as [Client, Client];
  try {
    await Promise.all(tabs.map((each) => toldOnline(each, 'live')));
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
  } finally {
    await Promise.all(tabs.map((each) => each.close()));
    await server.dispose();
  }
});
