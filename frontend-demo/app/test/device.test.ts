import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Change } from '../src/demo/changes.ts';
import { NEW_DEVICE, nextStep, reduce, shownValue, type Device, type DeviceEvent } from '../src/demo/device.ts';
import type { ChangeResult, Commit, Json, RemoteRecord, SyncApplied } from '../src/demo/protocol.ts';
import { openPoints, rowsOf, statusOf } from '../src/demo/rows.ts';

const KEY = 'item:1';

function after(device: Device, ...events: DeviceEvent[]): Device {
  return events.reduce(reduce, device);
}

function record(value: Json, version: number, key = KEY): RemoteRecord {
  return { key, value, deleted: false, version };
}

function tombstone(version: number): RemoteRecord {
  return { key: KEY, value: null, deleted: true, version };
}

function commit(previous: number | string, version: number, ...records: RemoteRecord[]): DeviceEvent {
  const event: Commit = {
    __typename: 'Commit',
    previous: typeof previous === 'number' ? `c${previous}` : previous,
    checkpoint: `c${version}`,
    version,
    records,
  };
  return { type: 'heard', event };
}

function page(since: string, version: number, records: RemoteRecord[], hasMore = false): DeviceEvent {
  return {
    type: 'pulled',
    since,
    result: { __typename: 'ChangePage', records, checkpoint: `c${version}`, hasMore },
  };
}

function pushed(
  since: string,
  version: number,
  results: ChangeResult[],
  records: RemoteRecord[] = [],
  hasMore = false,
): DeviceEvent {
  const result: SyncApplied = { __typename: 'SyncApplied', results, records, checkpoint: `c${version}`, hasMore };
  return { type: 'pushed', since, result };
}

function result(
  status: ChangeResult['status'],
  current: RemoteRecord | null,
  code: string | null = null,
): ChangeResult {
  return { key: KEY, status, code, record: current };
}

function changed(change: Change): DeviceEvent {
  return { type: 'changed', change };
}

function renamed(text: string, from: string): DeviceEvent {
  return changed({ kind: 'merge', key: KEY, patch: { text }, seen: { json: { text: from, done: false } } });
}

const item = (text: string, done = false) => ({ text, done });
const PUSH: DeviceEvent = { type: 'pushing', mutationId: 'm1' };
const CONNECT: DeviceEvent[] = [{ type: 'connecting' }, { type: 'connected' }];

/** Live at version 3 with the item “Tent”. */
const LIVE = after(
  NEW_DEVICE,
  ...CONNECT,
  { type: 'pulling' },
  page('start', 3, [record(item('Tent'), 3)]),
  { type: 'streaming' },
  { type: 'heard', event: { __typename: 'Ready', resumed: true } },
);

test('a new device connects, pulls everything and then listens', () => {
  const steps = [nextStep(NEW_DEVICE)];
  let device = after(NEW_DEVICE, ...CONNECT);
  steps.push(nextStep(device));
  device = after(device, { type: 'pulling' }, page('start', 3, []));
  steps.push(nextStep(device));
  assert.deepEqual(steps, ['connect', 'pull', 'stream']);
  assert.equal(nextStep(LIVE), null);
  assert.equal(statusOf(LIVE), 'Live');
});

test('pulling goes on while there is more', () => {
  const device = after(NEW_DEVICE, ...CONNECT, { type: 'pulling' }, page('start', 3, [], true));
  assert.equal(nextStep(device), 'pull');
});

test('only one request is under way at a time', () => {
  const device = after(NEW_DEVICE, ...CONNECT, { type: 'pulling' }, renamed('Big tent', 'Tent'));
  assert.equal(nextStep(device), null);
});

test('changes made offline are pushed before anything is pulled', () => {
  const device = after(LIVE, { type: 'switched', online: false }, renamed('Big tent', 'Tent'));
  assert.equal(nextStep(device), null);
  assert.equal(nextStep(after(device, { type: 'switched', online: true }, ...CONNECT)), 'push');
});

test('a change shows at once', () => {
  assert.deepEqual(shownValue(after(LIVE, renamed('Big tent', 'Tent')), KEY), item('Big tent'));
});

test('an acknowledged push brings the record and moves the checkpoint', () => {
  const now = record(item('Big tent'), 4);
  const device = after(LIVE, renamed('Big tent', 'Tent'), PUSH, pushed('c3', 4, [result('APPLIED', now)], [now]));
  assert.equal(device.replica.checkpoint, 'c4');
  assert.deepEqual(device.replica.values[KEY], item('Big tent'));
  assert.equal(openPoints(device), '');
});

test('a push that lost its connection goes again with the same id and the same changes', () => {
  let device = after(LIVE, renamed('Big tent', 'Tent'), PUSH);
  const push = device.push;
  device = after(device, renamed('Huge tent', 'Big tent'), { type: 'lost', reason: 'gone' }, { type: 'waited' });
  device = after(device, ...CONNECT, { type: 'pushing', mutationId: 'm2' });
  assert.deepEqual(device.push, push);
  assert.equal(device.outbox.length, 1);
});

test('what an own commit brings after the answer to its push is known already', () => {
  const now = record(item('Big tent'), 4);
  const device = after(LIVE, renamed('Big tent', 'Tent'), PUSH, pushed('c3', 4, [result('APPLIED', now)], [now]));
  assert.equal(after(device, commit(3, 4, now)), device);
});

test('an answer that is overtaken by its own commit leaves the checkpoint alone', () => {
  const now = record(item('Big tent'), 4);
  const others = record(item('Torch'), 5, 'item:2');
  const device = after(
    LIVE,
    renamed('Big tent', 'Tent'),
    PUSH,
    commit(3, 4, now),
    commit(4, 5, others),
    pushed('c3', 4, [result('APPLIED', now)], [now]),
  );
  assert.equal(device.replica.checkpoint, 'c5');
  assert.equal(device.push, null);
  assert.equal(nextStep(device), null);
});

test('a commit that follows is applied', () => {
  const device = after(LIVE, commit(3, 4, record(item('Torch'), 4, 'item:2')));
  assert.deepEqual(device.replica.values['item:2'], item('Torch'));
  assert.equal(device.replica.checkpoint, 'c4');
});

test('a commit that does not follow makes the device pull', () => {
  const device = after(LIVE, commit(5, 6, record(item('Torch'), 6, 'item:2')));
  assert.deepEqual(device.replica, LIVE.replica);
  assert.equal(nextStep(device), 'pull');
});

test('a gap that shows while a pull is under way makes the device pull again', () => {
  const device = after(LIVE, commit(5, 6), { type: 'pulling' }, commit(7, 8), page('c3', 6, []));
  assert.equal(nextStep(device), 'pull');
});

test('a tombstone removes the item', () => {
  const device = after(LIVE, commit(3, 4, tombstone(4)));
  assert.deepEqual(rowsOf(device), []);
});

test('the first commit of a dataset that did not exist is applied', () => {
  const empty = after(NEW_DEVICE, ...CONNECT, { type: 'pulling' }, {
    type: 'pulled',
    since: 'start',
    result: { __typename: 'ChangePage', records: [], checkpoint: 'start', hasMore: false },
  });
  const device = after(empty, { type: 'streaming' }, commit('beginning', 1, record(item('Tent'), 1)));
  assert.equal(device.replica.checkpoint, 'c1');
});

test('a conflict waits for the user, and nothing else is held up', () => {
  const theirs = record(item('Small tent'), 4);
  const device = after(
    LIVE,
    renamed('Big tent', 'Tent'),
    PUSH,
    pushed('c3', 4, [result('CONFLICT', theirs)], [theirs]),
  );
  assert.deepEqual(rowsOf(device)[0]?.conflict, { mine: '“Big tent”', theirs: '“Small tent”' });
  assert.equal(nextStep(device), null);
  assert.equal(nextStep(after(device, changed({ kind: 'increment', key: 'water-bottles', by: 1 }))), 'push');
});

test('keeping mine sends it again, based on theirs', () => {
  const theirs = record(item('Small tent', true), 4);
  const device = after(
    LIVE,
    renamed('Big tent', 'Tent'),
    PUSH,
    pushed('c3', 4, [result('CONFLICT', theirs)], [theirs]),
    { type: 'chosen', key: KEY, keep: 'mine' },
  );
  assert.deepEqual(device.outbox, [
    { kind: 'merge', key: KEY, patch: { text: 'Big tent' }, seen: { json: item('Small tent', true) } },
  ]);
  assert.deepEqual(shownValue(device, KEY), item('Big tent', true));
});

test('keeping theirs sends nothing', () => {
  const theirs = record(item('Small tent'), 4);
  const device = after(
    LIVE,
    renamed('Big tent', 'Tent'),
    PUSH,
    pushed('c3', 4, [result('CONFLICT', theirs)], [theirs]),
    { type: 'chosen', key: KEY, keep: 'theirs' },
  );
  assert.equal(nextStep(device), null);
  assert.deepEqual(shownValue(device, KEY), item('Small tent'));
});

test('an edit on top of a push that conflicts is part of the conflict', () => {
  const theirs = record(item('Small tent'), 4);
  const device = after(
    LIVE,
    renamed('Big tent', 'Tent'),
    PUSH,
    renamed('Huge tent', 'Big tent'),
    pushed('c3', 4, [result('CONFLICT', theirs)], [theirs]),
  );
  assert.deepEqual(rowsOf(device)[0]?.conflict, { mine: '“Huge tent”', theirs: '“Small tent”' });
  assert.deepEqual(device.outbox, []);
});

test('an edit on top of a push that was merged with what its maker did not see is a conflict', () => {
  const ticked = changed({ kind: 'merge', key: KEY, patch: { done: true }, seen: { json: item('Tent') } });
  const merged = record(item('Small tent', true), 5);
  const device = after(
    LIVE,
    ticked,
    PUSH,
    renamed('Big tent', 'Tent'),
    pushed('c3', 5, [result('MERGED', merged)], [merged]),
  );
  assert.deepEqual(rowsOf(device)[0]?.conflict, { mine: '“Big tent”', theirs: '“Small tent” ✓' });
});

test('if nothing was applied, what has no conflict goes again under a new id', () => {
  const theirs = record(item('Small tent'), 4);
  const device = after(
    LIVE,
    renamed('Big tent', 'Tent'),
    changed({ kind: 'increment', key: 'water-bottles', by: 2 }),
    PUSH,
    {
      type: 'pushed',
      since: 'c3',
      result: {
        __typename: 'SyncConflicted',
        conflicts: [{ key: KEY, current: theirs }],
        records: [theirs],
        checkpoint: 'c4',
        hasMore: false,
      },
    },
    { type: 'pushing', mutationId: 'm2' },
  );
  assert.deepEqual(device.push, {
    mutationId: 'm2',
    changes: [{ kind: 'increment', key: 'water-bottles', by: 2 }],
  });
  assert.ok(KEY in device.conflicts);
});

test('a rejected change is dropped and told', () => {
  const device = after(LIVE, renamed('Big tent', 'Tent'), PUSH, pushed('c3', 3, [result('REJECTED', null, 'LIMIT')]));
  assert.deepEqual(shownValue(device, KEY), item('Tent'));
  assert.match(device.log.map((entry) => entry.text).join(), /Rejected.*LIMIT/);
});

test('a push that needs a resync goes again under its id, from the start', () => {
  const device = after(LIVE, renamed('Big tent', 'Tent'), PUSH, {
    type: 'pushed',
    since: 'c3',
    result: { __typename: 'ResyncRequired', reason: 'EPOCH_CHANGED' },
  });
  assert.equal(device.replica.checkpoint, 'start');
  assert.equal(device.stream, 'closed');
  assert.equal(nextStep(device), 'push');
  assert.equal(after(device, { type: 'pushing', mutationId: 'm2' }).push?.mutationId, 'm1');
});

test('a push to a dataset that is another one by now goes again under a new id', () => {
  const device = after(
    LIVE,
    renamed('Big tent', 'Tent'),
    PUSH,
    { type: 'pushed', since: 'c3', result: { __typename: 'ResyncRequired', reason: 'DATASET_RECREATED' } },
    { type: 'pushing', mutationId: 'm2' },
  );
  assert.equal(device.push?.mutationId, 'm2');
  assert.equal(device.push?.changes.length, 1);
});

test('a stream that begins anew replaces the records and keeps what is not sent', () => {
  const device = after(
    LIVE,
    changed({ kind: 'put', key: 'item:2', value: item('Torch'), seen: null }),
    { type: 'heard', event: { __typename: 'ResyncRequired', reason: 'EPOCH_CHANGED' } },
    commit('beginning', 2, record(item('Map'), 2, 'item:3')),
  );
  assert.deepEqual(
    rowsOf(device).map((row) => row.item.text),
    ['Torch', 'Map'],
  );
  assert.equal(device.replica.checkpoint, 'c2');
});

test('a late answer says nothing about records that have been cleared', () => {
  const device = after(
    LIVE,
    { type: 'pulling' },
    { type: 'heard', event: { __typename: 'DatasetDeleted' } },
    page('c3', 4, [record(item('Torch'), 4, 'item:2')]),
  );
  assert.deepEqual(device.replica.values, {});
});

test('a deleted dataset empties the list', () => {
  const device = after(LIVE, { type: 'heard', event: { __typename: 'DatasetDeleted' } });
  assert.deepEqual(rowsOf(device), []);
  assert.equal(device.stream, 'live');
});

test('a device whose access ended shows nothing more and stops', () => {
  const device = after(LIVE, { type: 'heard', event: { __typename: 'AccessEnded' } });
  assert.deepEqual(rowsOf(device), []);
  assert.equal(nextStep(device), null);
  assert.equal(statusOf(device), 'Stopped');
});

test('a push that the server refuses for good stops the device without losing the change', () => {
  const device = after(LIVE, renamed('Big tent', 'Tent'), PUSH, { type: 'refused', message: 'over a limit' });
  assert.equal(nextStep(device), null);
  assert.deepEqual(shownValue(device, KEY), item('Big tent'));
  const again = after(device, { type: 'switched', online: false }, { type: 'switched', online: true }, ...CONNECT);
  assert.equal(nextStep(again), 'push');
});

test('a device waits before it connects again', () => {
  const device = after(LIVE, { type: 'lost', reason: 'gone' });
  assert.equal(nextStep(device), null);
  assert.equal(nextStep(after(device, { type: 'waited' })), 'connect');
});

test('an item in conflict is not edited', () => {
  const theirs = record(item('Small tent'), 4);
  const device = after(
    LIVE,
    renamed('Big tent', 'Tent'),
    PUSH,
    pushed('c3', 4, [result('CONFLICT', theirs)], [theirs]),
  );
  assert.equal(after(device, renamed('Other', 'Small tent')), device);
});
