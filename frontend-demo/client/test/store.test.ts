import { test } from 'node:test';
import { memory } from '../src/memory.ts';
import { CONTRACT } from './support/store.contract.ts';

for (const [name, holds] of Object.entries(CONTRACT)) {
  test(`in memory: ${name}`, () => holds(memory()));
}
