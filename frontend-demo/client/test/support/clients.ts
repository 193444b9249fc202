/** Clients for tests: each a device, with all that it did and saw kept to be looked at. */

import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { createClient, type Client, type ClientOptions, type LinkStatus, type SharingEvent, type Trace } from '../../src/index.ts';
import { memory } from '../../src/memory.ts';
import type { Storage } from '../../src/storage.ts';
import type { Server } from './server.ts';

export interface TestClient extends Client {
  readonly statuses: LinkStatus[];
  readonly traces: Trace[];
  readonly sharings: SharingEvent[];
}

const open = new Set<Client>();

/** A client of an identity; `options` over what it would have. */
export function clientOf(server: Server, identity: string, options: Partial<ClientOptions> = {}): TestClient {
  const [statuses, traces, sharings]: [LinkStatus[], Trace[], SharingEvent[]] = [[], [], []];
  const client = createClient({
    url: server.url,
    auth: ({ deviceId }) => server.token(identity, deviceId),
    storage: memory(),
    WebSocket,
    onStatus: (status) => statuses.push(status),
    onTrace: (trace) => traces.push(trace),
    onSharing: (event) => sharings.push(event),
    ...options,
  });
  open.add(client);
  return Object.assign(client, { statuses, traces, sharings });
}

export async function closeAll(): Promise<void> {
  await Promise.all([...open].map((client) => client.close()));
  open.clear();
}

/** Until it is so; the error says what was looked at last. */
export async function eventually(look: () => unknown, what: string, seconds = 20): Promise<void> {
  const until = Date.now() + seconds * 1_000;
  while (!(await look())) {
    if (Date.now() > until) {
      throw new Error(`not within ${seconds} s: ${what}`);
    }
    await pause(10);
  }
}

/** A storage that can be pulled away from under its client, as when a tab is killed, or be told to fail. */
export function fragile(storage: Storage = memory()): Storage & { kill(): void; failing: boolean } {
  const stores: { close(): void }[] = [];
  const fragile = {
    failing: false,
    kill: () => stores.splice(0).forEach((store) => store.close()),
    open: async () => {
      const store = await storage.open();
      stores.push(store);
      const write = store.write.bind(store);
      store.write = async (dataset, patch) => {
        if (fragile.failing) {
          throw new Error('the disk is full');
        }
        return write(dataset, patch);
      };
      return store;
    },
  };
  return fragile;
}

/** A WebSocket class that counts how many were made. */
export function counted(): { readonly WebSocket: unknown; readonly made: () => number } {
  let made = 0;
  class Counted extends WebSocket {
    constructor(address: string, protocols?: string) {
      super(address, protocols);
      made++;
    }
  }
  return { WebSocket: Counted, made: () => made };
}
