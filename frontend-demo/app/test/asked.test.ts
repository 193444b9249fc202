import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked } from '../src/graphiql/asked.ts';

test('the only operation of the text is meant, whatever stood there before', () => {
  const { request, document } = asked({ query: 'subscription Live { a }', operationName: 'Viewer' });
  assert.equal(request.operationName, 'Live');
  assert.equal(document?.definitions.length, 1);
});

test('an operation without a name is asked for without one', () => {
  assert.equal(asked({ query: '{ a }', operationName: 'Viewer' }).request.operationName, undefined);
});

test('among several operations the chosen one stays', () => {
  const several = { query: 'query A { a } query B { b }', operationName: 'B' };
  assert.equal(asked(several).request, several);
});

test('a text that is no document goes to the server as it is', () => {
  const broken = { query: '{', operationName: 'A' };
  assert.deepEqual(asked(broken), { request: broken, document: undefined });
});
