import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  applied,
  changeInput,
  enqueued,
  folded,
  remade,
  seen,
  stillAsSeen,
  type Change,
  type Edit,
} from '../src/demo/changes.ts';

const TENT = { text: 'Tent', done: false };

function put(text: string): Edit {
  return { kind: 'put', key: 'item:1', value: { text, done: false }, seen: null };
}

function merge(patch: { text?: string; done?: boolean }, on: object = TENT): Edit {
  return { kind: 'merge', key: 'item:1', patch, seen: seen(on as never) };
}

const REMOVE: Edit = { kind: 'remove', key: 'item:1', seen: { json: TENT } };

test('a merge changes only the fields that it names', () => {
  assert.deepEqual(applied(merge({ done: true }), TENT), { text: 'Tent', done: true });
});

test('an increment of nothing counts from 0', () => {
  assert.equal(applied({ kind: 'increment', key: 'n', by: 2 }, undefined), 2);
});

test('increments of one key become one', () => {
  const changes: readonly Change[] = [{ kind: 'increment', key: 'n', by: 1 }];
  assert.deepEqual(enqueued(changes, { kind: 'increment', key: 'n', by: 2 }), [{ kind: 'increment', key: 'n', by: 3 }]);
});

test('increments that cancel each other out are not sent', () => {
  const changes: readonly Change[] = [{ kind: 'increment', key: 'n', by: 1 }];
  assert.deepEqual(enqueued(changes, { kind: 'increment', key: 'n', by: -1 }), []);
});

test('a merge into a new item is part of its put', () => {
  assert.deepEqual(folded(put('Tent'), merge({ done: true })), { ...put('Tent'), value: { text: 'Tent', done: true } });
});

test('two merges are one, based on what the maker of the first saw', () => {
  const second = merge({ text: 'Big tent' }, { text: 'Tent', done: true });
  assert.deepEqual(folded(merge({ done: true }), second), merge({ done: true, text: 'Big tent' }));
});

test('an item that was added and removed again is not sent at all', () => {
  assert.equal(folded(put('Tent'), REMOVE), null);
});

test('ticking and unticking leaves nothing to do', () => {
  assert.equal(folded(merge({ done: true }), merge({ done: false }, { text: 'Tent', done: true })), null);
});

test('removing a changed item is based on the item before the change', () => {
  const removal: Edit = { ...REMOVE, seen: { json: { text: 'Big tent', done: false } } };
  assert.deepEqual(folded(merge({ text: 'Big tent' }), removal), REMOVE);
});

test('a merge holds while only other fields changed', () => {
  assert.ok(stillAsSeen(merge({ done: true }), { text: 'Big tent', done: false }));
  assert.ok(!stillAsSeen(merge({ text: 'Small tent' }), { text: 'Big tent', done: false }));
});

test('a removal holds only while nothing changed', () => {
  assert.ok(stillAsSeen(REMOVE, { done: false, text: 'Tent' }));
  assert.ok(!stillAsSeen(REMOVE, { text: 'Tent', done: true }));
});

test('keeping a rename of an item that was removed puts the whole item', () => {
  assert.deepEqual(remade(merge({ text: 'Big tent' }, { text: 'Tent', done: true }), undefined), {
    kind: 'put',
    key: 'item:1',
    value: { text: 'Big tent', done: true },
    seen: null,
  });
});

test('keeping a removal of an item that was removed is nothing to do', () => {
  assert.equal(remade(REMOVE, undefined), null);
});

test('the server is told what the maker of a change saw', () => {
  assert.deepEqual(changeInput(put('Tent')), { put: { key: 'item:1', value: TENT, base: { absent: true } } });
  assert.deepEqual(changeInput(REMOVE), { remove: { key: 'item:1', base: { value: { json: TENT } } } });
  assert.deepEqual(changeInput({ kind: 'increment', key: 'n', by: 1 }), { increment: { key: 'n', by: 1 } });
});
