import { localKey, type Context, type Session, type Trace } from './context.ts';
import { Dataset, type DatasetOptions } from './dataset.ts';
import { asError, invalid, SynclineError } from './errors.ts';
import { indexedDb } from './indexeddb.ts';
import { connected, type Auth, type LinkStatus, type Variables } from './link.ts';
import { Told } from './listeners.ts';
import { LocalDataset, type Written } from './local.ts';
import { memory } from './memory.ts';
import { VIEWER, type DatasetInfo, type DatasetRef, type ViewerData } from './protocol.ts';
import { acceptInvitation, datasets, type DatasetScope } from './sharing.ts';
import type { Storage } from './storage.ts';
import { TabsLink, type LinkMessage } from './tabs.ts';

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
  readonly #status = new Told<LinkStatus>({ state: 'connecting' });
  readonly #opened: Promise<Context>;
  readonly #forgets: (() => void)[] = [];
  #link: TabsLink | undefined;
  #session: Promise<Session> | undefined;
  #online = true;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#status.listen((status) => options.onStatus?.(status));
    this.#opened = this.#open();
    this.#opened.catch((error) => this.#stop(asError(error, 'STORE_UNUSABLE')));
  }

  async #open(): Promise<Context> {
    const { url, auth, WebSocket, storage, automatic = true, debounce = DEBOUNCE_MS } = this.#options;
    const store = await (storage ?? (typeof indexedDB === 'undefined' ? memory() : indexedDb())).open();
    if (this.#closing.signal.aborted) {
      store.close();
      throw closed();
    }
    const asked = this.#options.deviceId;
    const deviceId = await store.claim('device', asked ?? crypto.randomUUID());
    if (asked !== undefined && asked !== deviceId) {
      store.close();
      throw belongsToAnother(`device ${deviceId}`, `device ${asked}`);
    }
    const link = new TabsLink(store, {
      url: typeof location === 'undefined' ? url : new URL(url, location.href).href,
      auth,
      deviceId,
      automatic,
      ...(WebSocket === undefined ? {} : { WebSocket }),
    });
    this.#link = link;
    store.onMessage = (message) => this.#heard(message as LinkMessage | Written);
    const context: Context = {
      store,
      link,
      automatic,
      debounce,
      closing: this.#closing.signal,
      session: () => this.#identify(context),
      trace: (kind, dataset, facts) =>
        this.#options.onTrace?.({ kind, at: Date.now(), ...(dataset === undefined ? {} : { dataset }), ...facts }),
    };
    link.listen((status) => this.#linked(context, status));
    if (!this.#online) {
      link.setOnline(false);
    }
    this.#linked(context, link.status);
    this.#closing.signal.addEventListener('abort', () => {
      link.close();
      store.close();
    });
    this.#wakeWith('online', 'focus', 'visibilitychange');
    return context;
  }

  /** Who the server says this is; the storage is for nobody else. */
  #identify({ link, store }: Context): Promise<Session> {
    this.#session ??= (async () => {
      const { viewer } = await link.request<ViewerData>(VIEWER, {});
      const { identityId, deviceId, guest, limits } = viewer;
      const owner = await store.claim('identity', identityId);
      if (owner !== identityId) {
        const error = belongsToAnother(`identity ${owner}`, `identity ${identityId}`);
        this.#stop(error);
        throw error;
      }
      return { identityId, deviceId, guest, changesPerSync: limits.changesPerSync };
    })();
    this.#session.catch(() => (this.#session = undefined));
    return this.#session;
  }

  #stop(reason: SynclineError): void {
    this.#online = false;
    this.#link?.setOnline(false);
    this.#status.set({ state: 'stopped', reason });
  }

  #linked({ trace }: Context, status: LinkStatus): void {
    const before = this.#status.value;
    if (before.state === 'stopped' && !this.#online) {
      return;
    }
    if (status.state === 'live') {
      trace('connected', undefined);
    } else if (before.state === 'live') {
      trace('disconnected', undefined, { reason: status.reason?.message });
    }
    if (status.state !== before.state || status.reason?.code !== before.reason?.code) {
      this.#status.set(status);
    }
  }

  #heard(message: LinkMessage | Written): void {
    if (message.kind === 'link') {
      this.#link?.heard(message);
    } else {
      void this.#locals.get(message.dataset)?.written(message).catch(() => undefined);
    }
  }

  /** The user is back: try now what would be tried later. */
  #wakeWith(...events: readonly string[]): void {
    if (typeof addEventListener !== 'function' || this.#options.automatic === false) {
      return;
    }
    const wake = () => {
      this.#link?.wake();
      this.#datasets.forEach((dataset) => void dataset.then((open) => open.nudge()));
    };
    for (const event of events) {
      addEventListener(event, wake);
      this.#forgets.push(() => removeEventListener(event, wake));
    }
  }

  // --- for the app -----------------------------------------------------------------------------------------------------

  /** Open a dataset: an own one by its name, which need not exist yet, or one by its id. Needs no server. */
  dataset(ref: string | { readonly id: string }, options: DatasetOptions = {}): Promise<Dataset> {
    const named: DatasetRef = typeof ref === 'string' ? { name: ref } : ref;
    const key = localKey(named);
    let opening = this.#datasets.get(key);
    if (opening === undefined) {
      opening = this.#openDataset(key, named, options);
      this.#datasets.set(key, opening);
      opening.catch(() => this.#datasets.delete(key));
    }
    return opening;
  }

  async #openDataset(key: string, ref: DatasetRef, options: DatasetOptions): Promise<Dataset> {
    if (!/^([A-Za-z0-9_.:-]{1,128}|id .+)$/.test(key)) {
      throw invalid('name', 'has 1 to 128 of A-Z a-z 0-9 _ . : -');
    }
    const context = await this.#opened;
    const local = new LocalDataset(key, context.store);
    this.#locals.set(key, local);
    await local.load();
    return new Dataset(ref, context, local, options, () => {
      this.#datasets.delete(key);
      this.#locals.delete(key);
    });
  }

  /** What the identity sees. Needs the server, as all of the following. */
  async datasets(scope: DatasetScope = 'ALL'): Promise<readonly DatasetInfo[]> {
    return datasets((await this.#connected()).link, scope);
  }

  /** Become a member by an invitation's code; open the dataset by the id that this answers. */
  async acceptInvitation(code: string): Promise<DatasetInfo> {
    return acceptInvitation((await this.#connected()).link, code);
  }

  /** Any query or mutation, over this client's connection. */
  async request<T>(query: string, variables: Variables = {}): Promise<T> {
    return (await this.#connected()).link.request<T>(query, variables);
  }

  /** Who the server says this is. */
  async viewer(): Promise<Omit<Session, 'changesPerSync'>> {
    const { identityId, deviceId, guest } = await (await this.#connected()).session();
    return { identityId, deviceId, guest };
  }

  async #connected(): Promise<Context> {
    const context = await this.#opened;
    await connected(context.link);
    return context;
  }

  status(): LinkStatus {
    return this.#status.value;
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
    this.#forgets.forEach((forget) => forget());
    this.#closing.abort(closed());
    await this.#opened.catch(() => undefined);
  }
}

const closed = (): SynclineError => new SynclineError('STORE_UNUSABLE', 'the client is closed');

const belongsToAnother = (owner: string, viewer: string): SynclineError =>
  new SynclineError('STORE_BELONGS_TO_ANOTHER', `the storage is for the ${owner}, not for the ${viewer}`, false, { owner, viewer });
