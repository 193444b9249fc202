/** The scenarios that all clients pass, which `tests/scenarios/scenarios.json` has, with this client. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Server } from './support/server.ts';
import { ASIDES, file, KINDS, play, SCENES, type Step } from './support/stage.ts';

let server: Server;
before(async () => {
  server = await Server.start({ settings: file.server });
});
after(() => server.dispose());

describe('scenarios', () => {
  for (const scenario of file.scenarios) {
    test(scenario.name, () => play(scenario, server));
  }
});

const phone = (step: Step): Step => ({ device: 'phone', ...step });
const put = phone({ put: ['a', 1] });
const UNTRUE: Readonly<Record<string, readonly [readonly Step[], RegExp]>> = {
  entries: [[put, phone({ expect: { entries: { a: true } } })], /step 2.*entries/s],
  keys: [[put, phone({ expect: { keys: [] } })], /keys/],
  prefixed: [[put, phone({ expect: { prefixed: { a: [] } } })], /prefixed/],
  get: [[phone({ expect: { get: { a: 1 } } })], /get/],
  has: [[phone({ expect: { has: { a: true } } })], /has/],
  size: [[phone({ expect: { size: 1 } })], /size/],
  pending: [[put, phone({ expect: { pending: [] } })], /pending/],
  conflicts: [[phone({ expect: { conflicts: [{ key: 'a' }] } })], /conflicts/],
  parked: [[phone({ expect: { parked: [{ key: 'a' }] } })], /parked/],
  role: [[put, phone({ synchronize: {} }), phone({ expect: { role: 'VIEWER' } })], /role/],
  report: [[put, phone({ synchronize: {}, report: { pushed: 2 } })], /pushed: 1/],
  refused: [[{ ...put, refused: 'INVALID_INPUT' }], /refused with undefined/],
  'refused with another code': [[phone({ put: ['', 1], refused: 'OFFLINE' })], /refused with INVALID_INPUT/],
  'not refused': [[phone({ put: ['', 1] })], /refused with INVALID_INPUT/],
  allAgree: [[put, { allAgree: {} }], /entries of phone/],
  meanwhile: [[put, phone({ synchronize: {}, meanwhile: [phone({ expect: { size: 2 } })] })], /step 2.*size/s],
  'an unknown step': [[phone({ puts: ['a', 1] })], /no such step/],
  'an unknown look': [[phone({ expect: { nothing: 1 } })], /nothing to look at/],
  'an unknown handler': [[phone({ synchronize: { onNothing: 'mine' } })], /handlers/],
};

describe('a scenario that is not true fails and names the step', () => {
  for (const [name, [steps, named]] of Object.entries(UNTRUE)) {
    test(name, () => assert.rejects(play({ name, steps }, server), named));
  }
});

test('every kind of step is played', () => {
  const all = (steps: readonly Step[]): readonly Step[] =>
    steps.flatMap((step) => [step, ...all(step['meanwhile'] ?? []), ...(step['transaction'] ?? [])]);
  const used = new Set(file.scenarios.flatMap(({ steps }) => all(steps)).flatMap(Object.keys));
  const played = [...Object.keys(KINDS), ...Object.keys(SCENES)];
  assert.deepEqual([...used].filter((name) => !ASIDES.has(name)).sort(), played.sort());
});
