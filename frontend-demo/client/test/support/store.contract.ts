/** What every storage has to keep to; in Node and in a browser, so it stands on nothing of either. */

import type { Edit } from '../../src/edits.ts';
import { SynclineError } from '../../src/errors.ts';
import type { Json } from '../../src/json.ts';
import { difference, Draft, EMPTY, type Patch, type Replica } from '../../src/replica.ts';
import type { Storage, Store } from '../../src/storage.ts';

const NEVER = new AbortController().signal;

/** Values as people may keep them. */
const VALUES: readonly Json[] = [null, false, 0, -0.5, 2 ** 53 - 1, '', '\ud83d\ude00', 'a\u2028b', [], [[{}]], { a: { b: [1, null] } }];
const KEYS = ['a', 'A', 'constructor', '__proto__', ' ', '\uffff', '\ud83d\ude00'];

function same(a: unknown, b: unknown, what: string): void {
  const [left, right] = [a, b].map((value) => JSON.stringify(value));
  if (left !== right) {
    throw new Error(`${what}: ${left} and not ${right}`);
  }
}

/** A replica in an order of its own, as text can show it. */
const plain = ({ revision, head, batch, records, edits }: Replica): unknown => [
  revision,
  head,
  batch ?? null,
  [...records].sort(([a], [b]) => (a < b ? -1 : 1)),
  edits,
];

/** What leads on from a replica by some step. */
function next(replica: Replica, step: (draft: Draft) => void): { readonly patch: Patch; readonly replica: Replica } {
  const draft = new Draft(replica);
  step(draft);
  const patch = difference(replica, draft.replica);
  if (!patch) {
    throw new Error('the step changes nothing');
  }
  return { patch, replica: { ...draft.replica, revision: patch.revision } };
}

const put = (key: string, argument: Json): Omit<Edit, 'id'> => ({
  key,
  operation: 'put',
  argument,
  madeAt: '2026-01-01T00:00:00.000Z',
  seen: { version: 0 },
  state: 'pending',
});

const record = (key: string, value: Json, version = 1) => ({
  key,
  value,
  version,
  author: { identityId: 'ada', deviceId: 'phone' },
  generation: 0,
});

async function rejects(work: Promise<unknown>, code: string): Promise<void> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  same(error instanceof SynclineError && error.code, code, 'how it is refused');
}

/** Whether it is done by now, and would have been had it been free to. */
async function isDone(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  work.then(() => (done = true), () => (done = true));
  await new Promise((resolve) => setTimeout(resolve, 100));
  return done;
}

const twice = (storage: Storage): Promise<Store[]> => Promise.all([storage.open(), storage.open()]);

export const CONTRACT: Readonly<Record<string, (storage: Storage) => Promise<void>>> = {
  'what was never written is empty': async (storage) => {
    const store = await storage.open();
    same(plain(await store.load('notes')), plain(EMPTY), 'it holds');
    store.close();
  },

  'what is written is there for whoever opens it next': async (storage) => {
    const store = await storage.open();
    const { patch, replica } = next(EMPTY, (draft) => {
      KEYS.forEach((key, at) => draft.setRecord(key, record(key, VALUES[at % VALUES.length]!)));
      VALUES.forEach((value, at) => draft.addEdit(put(KEYS[at % KEYS.length]!, value)));
      draft.head = { ...draft.head, checkpoint: 'somewhere', version: 7, id: 'its id', role: 'EDITOR', policy: 'MERGE' };
      draft.batch = { mutationId: 'm', changes: [{ put: { key: 'a', value: VALUES as Json } }], atomic: true };
    });
    same(await store.write('notes', patch), true, 'it is written');
    store.close();
    const again = await storage.open();
    same(plain(await again.load('notes')), plain(replica), 'it holds');
    again.close();
  },

  'what is gone is gone, and what stays stays': async (storage) => {
    const store = await storage.open();
    const first = next(EMPTY, (draft) => {
      ['a', 'b', 'c'].forEach((key) => draft.setRecord(key, record(key, 1)));
      ['a', 'b', 'c'].forEach((key) => draft.addEdit(put(key, 2)));
      draft.batch = { mutationId: 'm', changes: [], atomic: false };
    });
    const second = next(first.replica, (draft) => {
      draft.setRecord('b', undefined);
      draft.setRecord('c', record('c', 3, 2));
      draft.drop(draft.editsOf('a'));
      draft.batch = undefined;
    });
    same([await store.write('notes', first.patch), await store.write('notes', second.patch)], [true, true], 'they are written');
    same(plain(await store.load('notes')), plain(second.replica), 'it holds');
    store.close();
  },

  'a patch that does not follow on is not written, and nothing of it is': async (storage) => {
    const store = await storage.open();
    const { patch, replica } = next(EMPTY, (draft) => draft.addEdit(put('a', 1)));
    const other = next(EMPTY, (draft) => draft.addEdit(put('a', 2))).patch;
    const ahead = { ...next(replica, (draft) => draft.addEdit(put('b', 2))).patch, revision: 3 };
    same(await store.write('notes', patch), true, 'the first one is written');
    same([await store.write('notes', other), await store.write('notes', ahead)], [false, false], 'these are');
    same(plain(await store.load('notes')), plain(replica), 'it holds');
    store.close();
  },

  'of several that write at once one does': async (storage) => {
    const stores = await twice(storage);
    const patches = [1, 2].map((value) => next(EMPTY, (draft) => draft.addEdit(put('a', value))).patch);
    const written = await Promise.all(stores.map((store, at) => store.write('notes', patches[at]!)));
    same([...written].sort(), [false, true], 'which of them are written');
    const { edits } = await stores[0]!.load('notes');
    same(edits.map(({ argument }) => argument), [written[0] ? 1 : 2], 'it holds');
    stores.forEach((store) => store.close());
  },

  'datasets are kept apart': async (storage) => {
    const store = await storage.open();
    const names = ['note', 'notes', 'note.', 'id note', 'z'];
    for (const [at, name] of names.entries()) {
      const { patch } = next(EMPTY, (draft) => {
        draft.setRecord(name, record(name, at));
        draft.addEdit(put(name, at));
      });
      same(await store.write(name, patch), true, `${name} is written`);
    }
    for (const name of names) {
      const { records, edits } = await store.load(name);
      same([[...records.keys()], edits.map(({ key }) => key)], [[name], [name]], `${name} holds`);
    }
    store.close();
  },

  'what is claimed first stays': async (storage) => {
    const [here, there] = await twice(storage);
    same(await here!.claim('device', 'phone'), 'phone', 'the first one gets');
    same(await there!.claim('device', 'laptop'), 'phone', 'the second one gets');
    same(await there!.claim('identity', 'ada'), 'ada', 'of another name it gets');
    here!.close();
    there!.close();
    const again = await storage.open();
    same(await again.claim('device', 'tablet'), 'phone', 'a later one gets');
    again.close();
  },

  'one at a time has a lock, in whichever tab': async (storage) => {
    const [here, there] = await twice(storage);
    let inside = 0;
    let most = 0;
    const work = async (answer: number): Promise<number> => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside--;
      return answer;
    };
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, at) => (at % 2 ? here! : there!).lock('talk', NEVER, () => work(at))),
    );
    same([answers, most], [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 1], 'the answers, and the most at a time');
    const failing = here!.lock('talk', NEVER, () => Promise.reject(new SynclineError('OFFLINE', 'of the work')));
    await rejects(failing, 'OFFLINE');
    same(await there!.lock('talk', NEVER, () => work(10)), 10, 'it is free again');
    here!.close();
    there!.close();
  },

  'locks of other names do not wait': async (storage) => {
    const store = await storage.open();
    const held = new AbortController();
    void store.lock('one', NEVER, () => new Promise(() => undefined)).catch(() => undefined);
    same(await store.lock('other', held.signal, async () => 1), 1, 'it answers');
    store.close();
  },

  'who gives up waiting for a lock does not get it, and is in nobody’s way': async (storage) => {
    const [here, there] = await twice(storage);
    let letGo = (): void => undefined;
    const first = here!.lock('talk', NEVER, () => new Promise<void>((resolve) => (letGo = resolve)));
    const giving = new AbortController();
    let worked = false;
    const second = there!.lock('talk', giving.signal, async () => void (worked = true));
    const third = there!.lock('talk', NEVER, async () => 3);
    giving.abort(new SynclineError('OFFLINE', 'it is not wanted any more'));
    await rejects(second, 'OFFLINE');
    same(await isDone(third), false, 'the third one has it already');
    letGo();
    await first;
    same([await third, worked], [3, false], 'the third one has it, and the second one had');
    here!.close();
    there!.close();
  },

  'a lock of a store that is closed is free': async (storage) => {
    const [here, there] = await twice(storage);
    const holding = here!.lock('talk', NEVER, () => new Promise(() => undefined));
    holding.catch(() => undefined);
    const waiting = there!.lock('talk', NEVER, async () => 2);
    same(await isDone(waiting), false, 'it is there before');
    here!.close();
    same(await waiting, 2, 'then it is');
    there!.close();
  },

  'what is posted reaches all others that are open': async (storage) => {
    const stores = [...(await twice(storage)), await storage.open()];
    const heard: unknown[][] = stores.map(() => []);
    stores.forEach((store, at) => (store.onMessage = (message) => heard[at]!.push(message)));
    stores[2]!.close();
    stores[0]!.post({ a: [1, null, 'x'] });
    stores[2]!.post('from who is closed');
    await isDone(Promise.resolve());
    same(heard, [[], [{ a: [1, null, 'x'] }], []], 'what each of them heard');
    stores.slice(0, 2).forEach((store) => store.close());
  },

  'a store that is closed says so': async (storage) => {
    const store = await storage.open();
    const { patch } = next(EMPTY, (draft) => draft.addEdit(put('a', 1)));
    store.close();
    await rejects(store.load('notes'), 'STORE_UNUSABLE');
    await rejects(store.write('notes', patch), 'STORE_UNUSABLE');
    await rejects(store.claim('device', 'phone'), 'STORE_UNUSABLE');
    const again = await storage.open();
    same(plain(await again.load('notes')), plain(EMPTY), 'it holds');
    again.close();
  },
};
