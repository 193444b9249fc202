import { now, type Opened } from './context.ts';
import { Editing } from './editing.ts';
import type { ConflictPolicy, Edit, Seen } from './edits.ts';
import type { Json } from './json.ts';
import { listeners } from './listeners.ts';
import { keepLive, type DatasetStatus, type Kept, type Live } from './live.ts';
import type { ChangeEvent, LocalDataset } from './local.ts';
import { discard, make, retry, type Decision, type NewEdit } from './outbox.ts';
import type { Presence } from './presence.ts';
import { Draft, view, viewOf, type Role } from './replica.ts';
import type { Sharing } from './sharing.ts';
import { conflictsIn, decide, parkedIn, synchronize, type Conflict, type Handlers, type SyncReport } from './synchronize.ts';

export interface DatasetOptions extends Handlers {
  /** Asked for instead of the dataset's own. */
  readonly conflictPolicy?: ConflictPolicy;
}

/** All edits that are made by it are one atomic sync. */
export class Transaction extends Editing<void> {
  readonly edits: NewEdit[] = [];
  readonly #draft: Draft;

  constructor(draft: Draft) {
    super();
    this.#draft = draft;
  }

  /** With the edits of this transaction so far. */
  get(key: string): Json | undefined {
    return viewOf(this.#draft.replica, key);
  }

  protected override edit(edit: () => NewEdit): void {
    const one = edit();
    make(this.#draft, one, '');
    this.edits.push(one);
  }
}

/** A dataset as an app uses it: read and edited at once and offline, in line with the server when there is one. */
export class Dataset extends Editing<Promise<void>> {
  readonly #opened: Opened;
  readonly #handlers: Handlers;
  readonly #live: Live | undefined;
  readonly #changes = listeners<ChangeEvent>();
  readonly #onClose: () => void;

  /** `debounce`: how many milliseconds an automatic sync waits; none: there are no automatic syncs. */
  constructor(opened: Opened, handlers: Handlers, debounce: number | undefined, onClose: () => void) {
    super();
    const { local, link } = opened;
    this.#opened = opened;
    this.#handlers = handlers;
    this.#onClose = onClose;
    this.#live = debounce === undefined ? undefined : keepLive(opened, handlers, debounce);
    const status = this.#live?.status ?? link.status;
    local.listen(this.#changes.tell);
    status.listen(() => this.#changes.tell({ keys: [], from: 'elsewhere' }));
  }

  get #local(): LocalDataset {
    return this.#opened.local;
  }

  // --- reading ---------------------------------------------------------------------------------------------------------

  /** The record as the user sees it; `undefined`: there is none. */
  get(key: string): Json | undefined {
    return viewOf(this.#local.replica, key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  get size(): number {
    return view(this.#local.replica).size;
  }

  /** Keys and values in the order of the keys. */
  entries(prefix = ''): readonly (readonly [string, Json])[] {
    return [...view(this.#local.replica)].filter(([key]) => key.startsWith(prefix));
  }

  /** Among the identity's own; none if the dataset was opened by its id. */
  get name(): string | undefined {
    const { ref } = this.#opened;
    return 'name' in ref ? ref.name : undefined;
  }

  /** As far as this device knows. */
  get id(): string | undefined {
    const { ref, local } = this.#opened;
    return 'id' in ref ? ref.id : local.replica.head.id;
  }

  get role(): Role | undefined {
    return this.#local.replica.head.role;
  }

  /** All commits up to it are here. */
  get version(): number {
    return this.#local.replica.head.version;
  }

  // --- editing ---------------------------------------------------------------------------------------------------------

  protected override edit(edit: () => NewEdit): Promise<void> {
    try {
      const one = edit();
      const madeAt = now();
      let saw: Seen | undefined;
      return this.#local.update((draft) => void (saw = make(draft, one, madeAt, undefined, saw)), 'here');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** All edits that `work` makes, at once, or none of them if it throws. */
  async transaction(work: (edit: Transaction) => void): Promise<void> {
    const transaction = new Transaction(new Draft(this.#local.replica));
    work(transaction);
    const [madeAt, bundle] = [now(), crypto.randomUUID()];
    const saw: Seen[] = [];
    const all = (draft: Draft) => transaction.edits.forEach((edit, at) => (saw[at] = make(draft, edit, madeAt, bundle, saw[at])));
    await this.#local.update(all, 'here');
  }

  /** Edits that the server has not taken. */
  pending(): readonly Edit[] {
    return this.#local.replica.edits.filter(({ state }) => state !== 'parked');
  }

  /** Edits that the server refused: no longer sent, no longer seen, and not lost. */
  parked(): readonly Edit[] {
    return parkedIn(this.#local.replica);
  }

  /** Make a parked edit again, on what is there now. False: it is not parked any more. */
  retry({ id }: Edit): Promise<boolean> {
    const madeAt = now();
    return this.#local.update((draft) => retry(draft, id, madeAt), 'here');
  }

  /** Give a parked edit up. False: it is not parked any more. */
  discard({ id }: Edit): Promise<boolean> {
    return this.#local.update((draft) => discard(draft, id), 'here');
  }

  /** Edits that wait for a decision. */
  conflicts(): readonly Conflict[] {
    return conflictsIn(this.#local.replica);
  }

  /** Decide a conflict. False: it is no longer as it was. */
  resolve(conflict: Conflict, decision: Decision): Promise<boolean> {
    return decide(this.#local, conflict, decision);
  }

  // --- syncing ---------------------------------------------------------------------------------------------------------

  /** Push, pull and ask until all is done. What `handlers` lacks is asked of those that were given with the dataset. */
  synchronize(handlers: Handlers = {}): Promise<SyncReport> {
    return synchronize(this.#opened, { ...this.#handlers, ...handlers });
  }

  /** Be told after every change of what the user sees. */
  subscribe(listener: (event: ChangeEvent) => void): () => void {
    return this.#changes.add(listener);
  }

  status(): DatasetStatus {
    return (this.#live ?? this.#opened.link).status.value;
  }

  /** For the client: another tab says how the dataset stands. */
  heard(kept: Kept): void {
    this.#live?.heard(kept);
  }

  /** Push soon, if there is anything to push: what an automatic sync does by itself. */
  nudge(): void {
    this.#live?.nudge();
  }

  /** Who is here. With a state, this device is, too. */
  async presence(state?: Json): Promise<Presence> {
    const { openPresence } = await import('./presence.ts');
    return openPresence(this.#opened.link, this.#opened.ref, state);
  }

  /** Follow it no longer. What is kept of it stays. */
  close(): void {
    this.#onClose();
  }

  // --- sharing: needs the server, so it can come from there when it is first needed -------------------------------------

  #later<Name extends keyof Sharing>(name: Name): Sharing[Name] {
    return (async (...given: never[]) => {
      const { sharingOf } = await import('./sharing.ts');
      const act = sharingOf(this.#opened.link, this.#opened.ref)[name] as (...given: never[]) => unknown;
      return act(...given);
    }) as Sharing[Name];
  }

  readonly members = this.#later('members');
  readonly share = this.#later('share');
  readonly changeRole = this.#later('changeRole');
  readonly removeMember = this.#later('removeMember');
  readonly transferOwnership = this.#later('transferOwnership');
  readonly leave = this.#later('leave');
  readonly invite = this.#later('invite');
  readonly invitations = this.#later('invitations');
  readonly revokeInvitation = this.#later('revokeInvitation');
  readonly delete = this.#later('delete');
}
