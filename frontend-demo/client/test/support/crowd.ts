/** Five clients of one identity, some of them tabs of one device, to which everything happens; and what must be true then. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Conflict, Dataset, Decision, Json } from '../../src/index.ts';
import { memory } from '../../src/memory.ts';
import type { Chance } from './chance.ts';
import { clientOf, eventually, fragile, type TestClient } from './clients.ts';
import { Proxy } from './proxy.ts';
import type { Server } from './server.ts';

const PATIENCE_SECONDS = 60;
const PAUSE_MILLISECONDS = 12;

/** What was done with one kind of edit: `made` is known to be kept; of what is `doubtful` nobody said so. */
class Ledger<T> {
  readonly made: T[] = [];
  readonly doubtful: T[] = [];
}

/** What clients did to the dataset that they share. */
class Deeds {
  /** Members that were added, and those of the list that is put as a whole. */
  readonly members = new Ledger<string>();
  readonly listed = new Ledger<string>();
  readonly increments = new Ledger<number>();
  #last = 0;

  next(): number {
    return ++this.#last;
  }
}

const texts = (value: Json | undefined): readonly string[] => (value ?? []) as readonly string[];
const union = (a: readonly string[], b: readonly string[]): readonly string[] => [...new Set([...a, ...b])];

/** One client, which comes back on the same storage when it is killed. */
class Person {
  readonly name: string;
  readonly proxy: Proxy;
  readonly #server: Server;
  readonly #identity: string;
  readonly #storage: ReturnType<typeof memory>;
  readonly #chance: Chance;
  readonly #deeds: Deeds;
  /** Only one tab of a device puts the list: what one puts without having seen the other's edit replaces it. */
  readonly #lists: boolean;
  /** Members that it added, and the last number that it kept for itself. */
  readonly #own: string[] = [];
  #number = 0;
  #doubtfulNumbers: number[] = [];
  #disk = fragile();
  #client!: TestClient;
  notes!: Dataset;

  constructor(
    name: string,
    { server, identity, storage, proxy, chance, deeds, lists }: {
      readonly server: Server;
      readonly identity: string;
      readonly storage: ReturnType<typeof memory>;
      readonly proxy: Proxy;
      readonly chance: Chance;
      readonly deeds: Deeds;
      readonly lists: boolean;
    },
  ) {
    this.name = name;
    this.proxy = proxy;
    this.#server = server;
    this.#identity = identity;
    this.#storage = storage;
    this.#chance = chance;
    this.#deeds = deeds;
    this.#lists = lists;
  }

  async start(): Promise<void> {
    this.#disk = fragile(this.#storage);
    this.#client = clientOf(this.#server, this.#identity, { url: this.proxy.url, storage: this.#disk, debounce: 3 });
    this.notes = await this.#client.dataset('notes', { onConflict: (conflict) => this.#decide(conflict) });
  }

  /** As when the browser is killed: what is under way is not finished. */
  async reload(): Promise<void> {
    this.#disk.kill();
    void this.#client.close();
    await this.start();
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  connect(): void {
    this.#client.connect();
  }

  disconnect(): void {
    this.#client.disconnect();
  }

  async #decide({ key, mine, theirs }: Conflict): Promise<Decision | undefined> {
    await pause(this.#chance.below(4));
    if (key !== 'list') {
      return this.#chance.of<Decision | undefined>('mine', 'theirs', { value: `instead ${this.#deeds.next()}` }, undefined);
    }
    const [ours, others] = [mine, theirs].map((state) => texts('value' in state ? state.value : undefined));
    return { value: union(others!, ours!) };
  }

  /** Note what becomes of an edit. */
  #do<T>(edit: Promise<void>, ledger: Ledger<T>, what: T): void {
    edit.then(
      () => ledger.made.push(what),
      () => ledger.doubtful.push(what),
    );
  }

  edit(): void {
    const { notes } = this;
    const number = this.#deeds.next();
    const id = `${this.name} ${number}`;
    switch (this.#chance.below(this.#lists ? 7 : 6)) {
      case 0:
        return this.#do(notes.increment('count', number), this.#deeds.increments, number);
      case 1: {
        const added = notes.addToSet('members', id);
        added.then(() => this.#own.push(id), () => undefined);
        return this.#do(added, this.#deeds.members, id);
      }
      case 2: {
        const kept = notes.put(`of ${this.name}`, number);
        this.#doubtfulNumbers.push(number);
        kept.then(
          () => {
            this.#number = Math.max(this.#number, number);
            this.#doubtfulNumbers = this.#doubtfulNumbers.filter((each) => each > this.#number);
          },
          () => undefined,
        );
        return;
      }
      case 3:
        return this.#do(
          notes.transaction((all) => {
            all.increment('from', -number);
            all.put('last transfer', number);
            all.increment('to', number);
            all.addToSet('members', id);
          }),
          this.#deeds.members,
          id,
        );
      case 4:
        notes.put('title', `title ${number}`).catch(() => undefined);
        return;
      case 5:
        notes.remove('title').catch(() => undefined);
        return;
      default:
        return this.#do(notes.put('list', [...texts(notes.get('list')), id]), this.#deeds.listed, id);
    }
  }

  /** What it was told to be kept is in what it shows, at any time. */
  showsItsOwn(): void {
    const shown = new Set(texts(this.notes.get('members')));
    assert.deepEqual(this.#own.filter((id) => !shown.has(id)), [], `${this.name} shows all that it added`);
  }

  /** The number that it keeps is the last one that it was told is kept, or one that it put after that. */
  keptItsNumber(value: Json | undefined): void {
    const possible = [this.#number, ...this.#doubtfulNumbers.filter((number) => number > this.#number)];
    assert.ok(possible.includes((value ?? 0) as number), `${this.name} kept ${String(value)}, not one of ${String(possible)}`);
  }

  get isDone(): boolean {
    const { notes } = this;
    return notes.status().state === 'live' && notes.pending().length === 0;
  }

  describe(): string {
    const { notes } = this;
    const { state, reason } = notes.status();
    return `${this.name}: ${state} ${reason?.message ?? ''} version ${notes.version}, pending ${JSON.stringify(notes.pending())}`;
  }
}

const NAMES = ['ada', 'ben', 'cleo', 'dan', 'eva'];

/** Let everything happen, then hold what is there against what was done. */
export async function crowd(server: Server, chance: Chance, steps: number): Promise<void> {
  const identity = `crowd-${randomUUID()}`;
  const deeds = new Deeds();
  const people: Person[] = [];
  try {
    let storage = memory();
    for (const name of NAMES) {
      // A device of its own, or one more tab of the one before.
      const another = people.length > 0 && chance.below(3) === 0;
      storage = another ? storage : memory();
      const person = new Person(name, { server, identity, storage, proxy: await Proxy.start(server.port), chance, deeds, lists: !another });
      people.push(person);
      await person.start();
    }
    for (let step = 0; step < steps; step++) {
      const person = chance.of(...people);
      await happen(person, chance);
      person.showsItsOwn();
    }
    await converge(people);
    const observer = clientOf(server, identity);
    const there = await observer.dataset('notes');
    await eventually(async () => (await there.synchronize().catch(() => undefined)) !== undefined, 'the server says what it has', PATIENCE_SECONDS);
    for (const person of people) {
      person.showsItsOwn();
      assert.deepEqual(person.notes.entries(), there.entries(), `${person.name} has what the server has`);
      assert.deepEqual(person.notes.parked(), []);
      person.keptItsNumber(there.get(`of ${person.name}`));
    }
    holds(new Map(there.entries()), deeds);
    await observer.close();
  } finally {
    await Promise.all(people.map((person) => person.close()));
    await Promise.all(people.map((person) => person.proxy.close()));
  }
}

async function happen(person: Person, chance: Chance): Promise<void> {
  switch (chance.below(16)) {
    case 0:
      return person.proxy.cut();
    case 1:
      return person.proxy.refuse();
    case 2:
    case 3:
      return person.proxy.accept();
    case 4:
      return person.proxy.refuseAfterLosingAnswer();
    case 5:
      return person.disconnect();
    case 6:
    case 7:
      return person.connect();
    case 8:
      return person.reload();
    case 9:
    case 10:
      return pause(chance.below(PAUSE_MILLISECONDS));
    default:
      person.edit();
      return chance.of(0, 1) ? pause(chance.below(PAUSE_MILLISECONDS)) : undefined;
  }
}

async function converge(people: readonly Person[]): Promise<void> {
  people.forEach((person) => person.proxy.acceptAll());
  const until = Date.now() + PATIENCE_SECONDS * 1_000;
  people.forEach((person) => person.connect());
  for (;;) {
    // What someone left for later is decided now.
    await Promise.all(people.map(({ notes }) => (notes.conflicts().length ? notes.synchronize().catch(() => undefined) : undefined)));
    const [first, ...others] = people.map(({ notes }) => notes.entries());
    if (people.every((person) => person.isDone) && others.every((entries) => isDeepStrictEqual(entries, first))) {
      return;
    }
    assert.ok(Date.now() < until, `it does not come to rest:\n${people.map((person) => person.describe()).join('\n')}`);
    await pause(20);
  }
}

function holds(there: ReadonlyMap<string, Json>, deeds: Deeds): void {
  for (const [key, ledger] of [['members', deeds.members], ['list', deeds.listed]] as const) {
    const found = texts(there.get(key));
    assert.equal(new Set(found).size, found.length, `nothing is twice in ${key}`);
    assert.deepEqual(ledger.made.filter((id) => !found.includes(id)), [], `all is in ${key}`);
    const known = new Set([...ledger.made, ...ledger.doubtful]);
    assert.deepEqual(found.filter((id) => !known.has(id)), [], `nothing else is in ${key}`);
  }
  const count = (there.get('count') ?? 0) as number;
  const least = deeds.increments.made.reduce((sum, by) => sum + by, 0);
  const sums = deeds.increments.doubtful.reduce((all, by) => new Set([...all, ...[...all].map((sum) => sum + by)]), new Set([least]));
  assert.ok(sums.has(count), `the count is ${count}, of which ${least} were kept, and perhaps ${deeds.increments.doubtful.join()}`);
  assert.equal(((there.get('from') ?? 0) as number) + ((there.get('to') ?? 0) as number), 0, 'all of a transfer, or nothing');
}
