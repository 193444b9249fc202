/** The tests notice the bugs they are for: each is planted in a copy of the client, and its tests must fail there. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { isSoak } from './support/runs.ts';

interface Bug {
  readonly name: string;
  /** As compiled. `old` is in it once. */
  readonly file: string;
  readonly old: string;
  readonly new: string;
  readonly noticedBy: string;
  /** Planted in the short run, too. */
  readonly quick?: true;
}

const PROPERTIES = 'replica.properties';

const BUGS: readonly Bug[] = [
  {
    name: 'a push whose answer was lost goes out again under another id',
    file: 'outbox',
    old: 'if (draft.batch) {\n        return',
    new: 'if (false) {\n        return',
    noticedBy: PROPERTIES,
    quick: true,
  },
  {
    name: 'what was edited while a push was under way goes with it',
    file: 'outbox',
    old: "        else {\n            draft.drop([edit]);\n        }\n    });\n    edits.forEach((edit, at) => followUp",
    new: "        else {\n            draft.drop(draft.editsOf(edit.key));\n        }\n    });\n    edits.forEach((edit, at) => followUp",
    noticedBy: PROPERTIES,
    quick: true,
  },
  {
    name: 'an edit on top of a push is put over whatever came in between',
    file: 'edits',
    old: "return { ...edit, state: 'conflict' };",
    new: 'return { ...edit, seen: now };',
    noticedBy: PROPERTIES,
    quick: true,
  },
  {
    name: 'what the server refuses is dropped',
    file: 'outbox',
    old: "draft.save({ ...edit, state: 'parked', batch: undefined, code, details });",
    new: 'draft.drop([edit]);',
    noticedBy: PROPERTIES,
    quick: true,
  },
  {
    name: 'of two increments that are sent as one only the later one counts',
    file: 'edits',
    old: 'Number.isSafeInteger(sum) ? sum : undefined',
    new: 'Number.isSafeInteger(sum) ? b : undefined',
    noticedBy: PROPERTIES,
  },
  {
    name: 'the first page of a resync ends it',
    file: 'records',
    old: 'if (delta.complete) {',
    new: 'if (true) {',
    noticedBy: PROPERTIES,
  },
  {
    name: 'an older state takes the place of a newer one',
    file: 'records',
    old: 'version > held.version ||',
    new: 'version !== held.version ||',
    noticedBy: PROPERTIES,
  },
  {
    name: 'what was removed while one was away for long comes back to life',
    file: 'records',
    old: 'if (generation < draft.head.generation) {',
    new: 'if (false) {',
    noticedBy: PROPERTIES,
  },
  {
    name: 'a decision for theirs sends mine',
    file: 'outbox',
    old: 'if (decision === keepTheirs) {',
    new: 'if (false) {',
    noticedBy: PROPERTIES,
  },
  {
    name: 'what another tab wrote meanwhile is written over',
    file: 'memory',
    old: 'const fits = before.revision === patch.revision - 1;',
    new: 'const fits = true;',
    noticedBy: 'proof',
  },
  {
    name: 'other tabs are not told what was edited',
    file: 'local',
    old: 'store.post({ dataset: key, patch, from });',
    new: '',
    noticedBy: 'tabs',
  },
  {
    name: 'a push that was not answered is given up, and its edits are sent anew',
    file: 'synchronize',
    old: 'if (retryable !== false) {',
    new: 'if (retryable !== false) {\n            await update((draft) => thaw(draft, batch));',
    noticedBy: 'proof',
  },
  {
    name: 'what was pushed is seen twice when the answer was lost',
    file: 'live',
    old: '!local.replica.batch && ',
    new: '',
    noticedBy: 'client',
  },
];

// Inside the package, so that what it depends on is found.
const FOLDER = 'build/planted';
after(() => rmSync(FOLDER, { recursive: true, force: true }));

/** How its tests end with the bug in place. */
async function planted({ file, old, new: bug, noticedBy }: Bug, folder: string): Promise<number | null> {
  mkdirSync(folder, { recursive: true });
  for (const part of ['src', 'test']) {
    cpSync(`build/${part}`, `${folder}/${part}`, { recursive: true });
  }
  const path = `${folder}/src/${file}.js`;
  const text = readFileSync(path, 'utf8');
  assert.equal(text.split(old).length, 2, `it does not fit ${file} any more`);
  writeFileSync(path, text.replace(old, () => bug));
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = spawn(process.execPath, ['--test', `${folder}/test/${noticedBy}.test.js`], {
    // The first example that fails ends it; a rare one is to be found, too.
    env: { ...env, SYNCLINE_SOAK: '0', SYNCLINE_PROPERTY_RUNS: '4000' },
    stdio: 'ignore',
  });
  const [code] = (await once(run, 'exit')) as [number | null];
  return code;
}

for (const [at, bug] of BUGS.entries()) {
  test(`noticed: ${bug.name}`, { skip: !isSoak && !bug.quick && 'in the long run only' }, async () => {
    assert.equal(await planted(bug, `${FOLDER}/${at}`), 1);
  });
}
