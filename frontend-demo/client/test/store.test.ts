import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { memory } from '../src/memory.ts';
import { CONTRACT } from './support/store.contract.ts';

for (const [name, holds] of Object.entries(CONTRACT)) {
  test(`in memory: ${name}`, () => holds(memory()));
}

test('a lock leaves no listener behind', async () => {
  const { signal } = new AbortController();
  const store = await memory().open();
  for (let times = 0; times < 20; times++) {
    await store.lock('talk', signal, async () => undefined);
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  store.close();
});
