/** What the package says of itself is true. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { buildSchema, parse, validate } from 'graphql';
import { rolldown } from 'rolldown';
import { WebSocket } from 'ws';
import * as exported from '../src/index.ts';
import type { ClientOptions } from '../src/index.ts';
import { told } from '../src/listeners.ts';
import type { Link, LinkStatus } from '../src/link.ts';
import { memory } from '../src/memory.ts';
import { openPresence } from '../src/presence.ts';
import * as protocol from '../src/protocol.ts';
import { acceptInvitation, datasets, sharingOf, watchSharing } from '../src/sharing.ts';
import { clientOf, closeAll } from './support/clients.ts';
import { Server } from './support/server.ts';

// npm runs this in the folder of the package.
const README = readFileSync('README.md', 'utf8');
const schema = buildSchema(readFileSync('../../schema.graphql', 'utf8'));

/** What an app carries that uses all but sharing and presence, which are loaded when they are first used. */
const MOST_BYTES = 12_900;

let server: Server;
before(async () => {
  server = await Server.start();
});
after(async () => {
  await closeAll();
  await server.dispose();
});

async function gzipped(input: string, external: RegExp): Promise<number> {
  const bundle = await rolldown({ input, external, platform: 'browser' });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  assert.equal(output.length, 1);
  return gzipSync(output[0].code, { level: 9 }).length;
}

test('it is as small as it says', async () => {
  const bytes = await gzipped('src/index.ts', /^(idb|graphql-ws)|(sharing|presence)\.ts$/);
  assert.ok(bytes <= MOST_BYTES, `${bytes} bytes`);
  assert.match(README, new RegExp(`${(MOST_BYTES / 1000).toFixed(1)} kB gzipped`));
});

test('the example of the README works', async () => {
  const [, example] = /```ts\n([\s\S]*?)```/.exec(README) ?? [];
  assert.ok(example && example.trim().split('\n').length <= 12);
  const body = example.replace(/^import .*\n/m, '');
  const logged: unknown[][] = [];
  const AsyncFunction = (async () => undefined).constructor as new (...given: string[]) => (...given: unknown[]) => Promise<void>;
  const createClient = (options: ClientOptions) => exported.createClient({ storage: memory(), WebSocket, ...options });
  const run = new AsyncFunction('createClient', 'url', 'tokenFor', 'console', body);
  await run(createClient, server.url, (device: string) => server.token('reader', device), {
    log: (...said: unknown[]) => logged.push(said),
  });
  assert.deepEqual(logged.at(-1), [['milk'], [['opened', 1], ['shopping', ['milk']]]]);
  assert.ok(logged.some(([said]) => said === 'shopping changed here'));
});

/** What stands in code marks anywhere in the README. */
const words = new Set([...README.replace(/```[\s\S]*?```/g, '').matchAll(/`[^`]+`/g)].flatMap(([code]) => code.match(/\w+/g) ?? []));

test('every method is in the README', async () => {
  const client = clientOf(server, 'reader', { automatic: false });
  const dataset = await client.dataset('notes');
  const inside = ['constructor', 'edit', 'heard', 'subscribe'];
  for (const object of [client, dataset]) {
    const names = new Set<string>();
    for (let one: object = object; one !== Object.prototype; one = Object.getPrototypeOf(one) as object) {
      Object.getOwnPropertyNames(one).forEach((name) => names.add(name));
    }
    ['statuses', 'traces', 'sharings'].forEach((name) => names.delete(name));
    assert.deepEqual([...names].filter((name) => !inside.includes(name) && !words.has(name)), []);
  }
  assert.ok(words.has('subscribe'));
});

test('every error that the client itself makes is in the README', () => {
  const sources = ['client', 'errors', 'indexeddb', 'link', 'live', 'local', 'memory', 'operations'];
  const codes = sources.flatMap((name) =>
    [...readFileSync(`src/${name}.ts`, 'utf8').matchAll(/SynclineError\(\s*'([A-Z_]+)'/g)].map(([, code]) => code!),
  );
  assert.ok(codes.length >= 6);
  assert.deepEqual(codes.filter((code) => !words.has(code)), []);
});

test('every operation is valid against the schema', async () => {
  const asked: string[] = [protocol.SYNC, protocol.PULL, protocol.CHANGES, protocol.VIEWER];
  const page = { nodes: [], pageInfo: { hasNextPage: false, endCursor: null } };
  const answer = new Proxy({}, { get: () => ({ ...page, members: page, invitations: [], invitation: {} }) });
  const link: Link = {
    status: told<LinkStatus>({ state: 'live' }),
    online: true,
    subscribe: (query, _, sink) => {
      asked.push(query);
      if (!query.startsWith('subscription')) {
        sink.next(answer as never);
      }
      return () => undefined;
    },
    wake: () => undefined,
    setOnline: () => undefined,
    close: () => undefined,
  };
  const sharing = sharingOf(link, { name: 'notes' });
  await Promise.all([
    datasets(link, 'ALL'),
    acceptInvitation(link, 'code'),
    sharing.members(),
    sharing.share('ben', 'EDITOR'),
    sharing.changeRole('ben', 'VIEWER'),
    sharing.removeMember('ben'),
    sharing.transferOwnership('ben'),
    sharing.leave(),
    sharing.invite({ role: 'EDITOR' }),
    sharing.invitations(),
    sharing.revokeInvitation('id'),
    sharing.delete(),
  ]);
  watchSharing(link, new Map(), undefined);
  openPresence(link, { name: 'notes' }, undefined);
  openPresence(link, { name: 'notes' }, {}).set(1);
  assert.equal(asked.length, 4 + Object.keys(sharing).length + 2 + 1 + 3);
  for (const query of asked) {
    assert.deepEqual(validate(schema, parse(query)), [], query);
  }
});
