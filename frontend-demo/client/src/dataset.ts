import { now, type Context } from './context.ts';
import { Editing } from './editing.ts';
import type { ConflictPolicy, Edit } from './edits.ts';
import type { Json } from './json.ts';
import { Live, type DatasetStatus } from './live.ts';
import { Listeners } from './listeners.ts';
import { LocalDataset, type ChangeEvent } from './local.ts';
import { discard, make, retry, type Decision, type NewEdit } from './outbox.ts';
import { Presence } from './presence.ts';
import type { DatasetRef } from './protocol.ts';
import { Draft, view, viewOf, type Role } from './replica.ts';
import { Sharing } from './sharing.ts';
import { conflictsIn, decide, Synchronizer, type Conflict, type Handlers, type SyncReport } from './synchronize.ts';

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
  readonly #ref: DatasetRef;
  readonly #context: Context;
  readonly #options: DatasetOptions;
  readonly #local: LocalDataset;
  readonly #live: Live;
  readonly #sharing: Sharing;
  readonly #closing = new AbortController();
  readonly #changes = new Listeners<ChangeEvent>();
  readonly #onClose: () => void;

  constructor(ref: DatasetRef, context: Context, local: LocalDataset, options: DatasetOptions, onClose: () => void) {
    super();
    this.#ref = ref;
    this.#context = context;
    this.#options = options;
    this.#local = local;
    this.#live = new Live(context, local, ref, options.conflictPolicy, options);
    this.#sharing = new Sharing(context.link, ref);
    this.#onClose = onClose;
    local.listen((event) => this.#changes.tell(event));
    this.#live.status.listen(() => this.#changes.tell({ keys: [], from: 'elsewhere' }));
    if (context.automatic) {
      const either = AbortSignal.any([context.closing, this.#closing.signal]);
      void this.#live.keep(either).catch(() => undefined);
    }
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
    return 'name' in this.#ref ? this.#ref.name : undefined;
  }

  /** As far as this device knows. */
  get id(): string | undefined {
    return 'id' in this.#ref ? this.#ref.id : this.#local.replica.head.id;
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
      return this.#local.update((draft) => make(draft, one, madeAt), 'here');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** All edits that `work` makes, at once, or none of them if it throws. */
  async transaction(work: (edit: Transaction) => void): Promise<void> {
    const transaction = new Transaction(new Draft(this.#local.replica));
    work(transaction);
    const [madeAt, bundle] = [now(), crypto.randomUUID()];
    await this.#local.update((draft) => transaction.edits.forEach((edit) => make(draft, edit, madeAt, bundle)), 'here');
  }

  /** Edits that the server has not taken. */
  pending(): readonly Edit[] {
    return this.#local.replica.edits.filter(({ state }) => state !== 'parked');
  }

  /** Edits that the server refused: no longer sent, no longer seen, and not lost. */
  parked(): readonly Edit[] {
    return this.#local.replica.edits.filter(({ state }) => state === 'parked');
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
    const all = { ...this.#options, ...handlers };
    return new Synchronizer(this.#context, this.#local, this.#ref, this.#options.conflictPolicy, all).run();
  }

  /** Be told after every change of what the user sees. */
  subscribe(listener: (event: ChangeEvent) => void): () => void {
    return this.#changes.add(listener);
  }

  status(): DatasetStatus {
    return this.#context.automatic ? this.#live.status.value : this.#context.link.status;
  }

  /** For the client: push soon, if there is anything. */
  nudge(): void {
    this.#live.nudge();
  }

  /** Follow it no longer. What is kept of it stays. */
  close(): void {
    this.#closing.abort();
    this.#onClose();
  }

  // --- sharing ---------------------------------------------------------------------------------------------------------

  readonly members: Sharing['members'] = () => this.#sharing.members();
  readonly share: Sharing['share'] = (identityId, role) => this.#sharing.share(identityId, role);
  readonly changeRole: Sharing['changeRole'] = (identityId, role) => this.#sharing.changeRole(identityId, role);
  readonly removeMember: Sharing['removeMember'] = (identityId) => this.#sharing.removeMember(identityId);
  readonly transferOwnership: Sharing['transferOwnership'] = (identityId) => this.#sharing.transferOwnership(identityId);
  readonly leave: Sharing['leave'] = () => this.#sharing.leave();
  readonly invite: Sharing['invite'] = (invitation) => this.#sharing.invite(invitation);
  readonly invitations: Sharing['invitations'] = () => this.#sharing.invitations();
  readonly revokeInvitation: Sharing['revokeInvitation'] = (id) => this.#sharing.revokeInvitation(id);

  /** Delete it on the server, for every device. */
  readonly delete: Sharing['delete'] = () => this.#sharing.delete();

  /** Who is here. With a state, this device is, too. */
  presence(state?: Json): Presence {
    return new Presence(this.#context.link, this.#ref, state);
  }
}
