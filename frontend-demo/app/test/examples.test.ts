import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { buildSchema, getVariableValues, Kind, parse, validate, type DocumentNode } from 'graphql';

import { examples } from '../src/graphiql/examples.ts';

// npm runs this in the folder of the workspace.
const schema = buildSchema(readFileSync('../../schema.graphql', 'utf8'));

function operation(document: DocumentNode) {
  const [definition] = document.definitions;
  assert.equal(definition?.kind, Kind.OPERATION_DEFINITION);
  return definition;
}

for (const { query, variables = {} } of examples) {
  const document = parse(query);
  const name = operation(document).name?.value;
  test(`the example ${name} is valid against the schema`, () => {
    assert.deepEqual(validate(schema, document), []);
  });
  test(`the variables of the example ${name} are what the schema wants`, () => {
    const values = getVariableValues(schema, operation(document).variableDefinitions ?? [], variables);
    assert.equal(values.errors, undefined);
  });
}

test('the examples have different names, for their tabs', () => {
  const names = examples.map(({ query }) => operation(parse(query)).name?.value);
  assert.equal(new Set(names).size, examples.length);
  assert.ok(!names.includes(undefined));
});

test('the first example has no variables, since GraphiQL does not show those of the first tab', () => {
  assert.equal(examples[0]?.variables, undefined);
});
