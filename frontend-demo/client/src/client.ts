import { localKey, type Context, type Session, type Trace } from './context.ts';
import { Dataset, type DatasetOptions } from './dataset.ts';
import { asError, invalid, SynclineError } from './errors.ts';
import { indexedDb } from './indexeddb.ts';
import { connected, request, type Auth, type LinkStatus, type Variables } from './link.ts';
import { told } from './listeners.ts';
import type { Kept } from './live.ts';
import { localDataset, type LocalDataset, type Written } from './local.ts';
import { VIEWER, type DatasetInfo, type DatasetRef, type ViewerData } from './protocol.ts';
import type { DatasetScope, SharingEvent } from './sharing.ts';
import type { Storage } from './storage.ts';
import { tabsLink, type LinkMessage, type TabsLink } from './tabs.ts';

export interface ClientOptions {
  /** The server's GraphQL address; in a page it may be relative. */
  readonly url: string;
  /** Gives a token for each connection. One that names a device must name `deviceId`. */
  readonly auth: Auth;
  /** This installation's id; left out, one is made and kept. */
  readonly deviceId?: string;
  readonly storage?: Storage;
  /** False: it connects and syncs only when it is asked to. */
  readonly automatic?: boolean;
  /** Milliseconds that an automatic sync waits for further edits. */
  readonly debounce?: number;
  readonly onStatus?: (status: LinkStatus) => void;
  /** Is told what becomes of this identity's access to others' datasets. */
  readonly onSharing?: (event: SharingEvent) => void;
  readonly onTrace?: (trace: Trace) => void;
  /** Where there is no global one. */
  readonly WebSocket?: unknown;
}

const DEBOUNCE_MS = 20;

export const createClient = (options: ClientOptions): Client => new Client(options);

/** One device of one identity. */
export class Client {
  readonly #options: ClientOptions;
  readonly #closing = new AbortController();
  readonly #datasets = new Map<string, Promise<Dataset>>();
  readonly #locals = new Map<string, LocalDataset>();
  readonly #status = told<LinkStatus>({ state: 'connecting' });
  readonly #opened: Promise<Context>;
  #link: TabsLink | undefined;
  #session: Promise<Session> | undefined;
  #online = true;
  /** Whether it is to follow what becomes of its access, and does. */
  #wantsSharing: boolean;
  #watching = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#wantsSharing = options.onSharing !== undefined;
    this.#status.listen((status) => options.onStatus?.(status));
    this.#opened = this.#open();
    this.#opened.catch((error) => this.#stop(error));
  }

  async #open(): Promise<Context> {
    const { url, auth, WebSocket, storage = indexedDb(), automatic = true, deviceId: asked, onTrace } = this.#options;
    const closing = this.#closing.signal;
    const store = await storage.open();
    closing.addEventListener('abort', () => store.close());
    closing.throwIfAborted();
    const deviceId = await store.claim('device', asked ?? crypto.randomUUID());
    if (asked !== undefined && asked !== deviceId) {
      throw belongsToAnother('device', deviceId, asked);
    }
    const options = { url: typeof location === 'undefined' ? url : new URL(url, location.href).href, auth, deviceId, automatic, WebSocket };
    const link = (this.#link = tabsLink(store, options));
    store.onMessage = (message) => this.#heard(message as LinkMessage | Written | Kept);
    const trace: Context['trace'] = (kind, dataset, facts) => onTrace?.({ kind, at: Date.now(), dataset, ...facts });
    const context: Context = { store, link, closing, trace, session: () => this.#identify(context) };
    link.status.listen((status) => this.#linked(status, context));
    if (!this.#online) {
      link.setOnline(false);
    }
    closing.addEventListener('abort', () => link.close());
    if (automatic) {
      // The user is back: what would be tried later is tried now.
      const wake = () => {
        link.wake();
        this.#datasets.forEach(async (dataset) => (await dataset).nudge());
      };
      for (const event of ['online', 'focus']) {
        globalThis.addEventListener?.(event, wake, { signal: closing });
      }
    }
    return context;
  }

  /** Who the server says this is; the storage is for nobody else. */
  #identify({ link, store }: Context): Promise<Session> {
    this.#session ??= (async () => {
      const { viewer } = await request<ViewerData>(link, VIEWER, {});
      const { identityId, deviceId, guest, limits } = viewer;
      const owner = await store.claim('identity', identityId);
      if (owner !== identityId) {
        throw this.#stop(belongsToAnother('identity', owner, identityId));
      }
      return { identityId, deviceId, guest, changesPerSync: limits.changesPerSync };
    })();
    this.#session.catch(() => (this.#session = undefined));
    return this.#session;
  }

  #stop(cause: unknown): SynclineError {
    const reason = asError(cause, 'STORE_UNUSABLE');
    this.disconnect();
    this.#status.set({ state: 'stopped', reason });
    return reason;
  }

  /** Code that only who shares needs, and only with a server. */
  async #watchSharing({ link }: Context): Promise<void> {
    this.#watching = true;
    (await import('./sharing.ts')).watchSharing(link, this.#locals, this.#options.onSharing);
  }

  #linked(status: LinkStatus, context: Context): void {
    const { trace } = context;
    const before = this.#status.value;
    if (before.state === 'stopped' && !this.#online) {
      return;
    }
    if (status.state === 'live') {
      trace('connected');
      if (!this.#watching && this.#wantsSharing) {
        this.#watchSharing(context).catch(() => (this.#watching = false));
      }
    } else if (before.state === 'live') {
      trace('disconnected', undefined, { reason: status.reason?.message });
    }
    this.#status.set(status);
  }

  #heard(message: LinkMessage | Written | Kept): void {
    if ('link' in message) {
      this.#link?.heard(message);
    } else if ('kept' in message) {
      void this.#datasets.get(message.kept)?.then((dataset) => dataset.heard(message));
    } else {
      this.#locals.get(message.dataset)?.written(message).catch(() => undefined);
    }
  }

  /** Open a dataset: an own one by its name, which need not exist yet, or one by its id. Needs no server. */
  dataset(ref: string | { readonly id: string }, options: DatasetOptions = {}): Promise<Dataset> {
    const named: DatasetRef = typeof ref === 'string' ? { name: ref } : ref;
    const key = localKey(named);
    const opening = this.#datasets.get(key) ?? this.#openDataset(key, named, options);
    this.#datasets.set(key, opening);
    opening.catch(() => this.#datasets.delete(key));
    return opening;
  }

  async #openDataset(key: string, ref: DatasetRef, options: DatasetOptions): Promise<Dataset> {
    if (!/^([\w.:-]{1,128}|id .+)$/.test(key)) {
      throw invalid('name', 'has 1 to 128 of A-Z a-z 0-9 _ . : -');
    }
    const { automatic = true, debounce = DEBOUNCE_MS } = this.#options;
    const context = await this.#opened;
    const local = localDataset(key, context.store);
    this.#locals.set(key, local);
    await local.load();
    if ('id' in ref && automatic && !this.#wantsSharing) {
      this.#wantsSharing = true;
      this.#linked(context.link.status.value, context);
    }
    const own = new AbortController();
    const closing = AbortSignal.any([context.closing, own.signal]);
    const opened = { ...context, closing, ref, local, policy: options.conflictPolicy };
    return new Dataset(opened, options, automatic ? debounce : undefined, () => {
      own.abort(closed());
      this.#datasets.delete(key);
      this.#locals.delete(key);
    });
  }

  /** What the identity sees. Needs the server, as all of the following. */
  async datasets(scope: DatasetScope = 'ALL'): Promise<readonly DatasetInfo[]> {
    const { link } = await this.#opened;
    return (await import('./sharing.ts')).datasets(link, scope);
  }

  /** Become a member by an invitation's code; open the dataset by the id that this answers. */
  async acceptInvitation(code: string): Promise<DatasetInfo> {
    const { link } = await this.#opened;
    return (await import('./sharing.ts')).acceptInvitation(link, code);
  }

  /** Any query or mutation, over this client's connection. */
  async request<T>(query: string, variables: Variables = {}): Promise<T> {
    const { link } = await this.#opened;
    await connected(link);
    return request<T>(link, query, variables);
  }

  /** Who the server says this is. */
  async viewer(): Promise<Session> {
    const { link, session } = await this.#opened;
    await connected(link);
    return session();
  }

  status(): LinkStatus {
    return this.#status.value;
  }

  /** False: it was told to stay offline. */
  get online(): boolean {
    return this.#link?.online ?? this.#online;
  }

  /** Be told when the status is another one. */
  subscribe(listener: (status: LinkStatus) => void): () => void {
    return this.#status.listen(listener);
  }

  /** Stay offline until `connect`. */
  disconnect(): void {
    this.#online = false;
    this.#link?.setOnline(false);
  }

  /** Come back, also after it was stopped. */
  connect(): void {
    this.#online = true;
    this.#link?.setOnline(true);
  }

  /** Let go of the storage. What was not sent is in it. */
  async close(): Promise<void> {
    this.#closing.abort(closed());
    await this.#opened.catch(() => undefined);
  }
}

const closed = (): SynclineError => new SynclineError('STORE_UNUSABLE', 'the client is closed');

const belongsToAnother = (what: string, owner: string, viewer: string): SynclineError =>
  new SynclineError('STORE_BELONGS_TO_ANOTHER', `the storage is for the ${what} ${owner}, not ${viewer}`, false, { owner, viewer });
