/** One connection for all tabs: the tab that holds the lock has it, and the others ask that tab. */

import { offline, SynclineError, type Facts } from './errors.ts';
import { SocketLink, type Link, type LinkStatus, type Sink, type SocketOptions, type Variables } from './link.ts';
import { Told } from './listeners.ts';
import type { Store } from './storage.ts';

/** An error as another tab can be told of it. */
interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly facts: Facts;
}

const plain = ({ code, message, retryable, facts }: SynclineError): PlainError => ({ code, message, retryable, facts });
const whole = ({ code, message, retryable, facts }: PlainError): SynclineError =>
  new SynclineError(code, message, retryable, facts);

/** What tabs say to each other about the connection. */
export type LinkMessage = { readonly kind: 'link' } & (
  | { readonly say: 'hello' }
  | { readonly say: 'wake' }
  | { readonly say: 'online'; readonly online: boolean }
  | { readonly say: 'ask'; readonly tab: string; readonly id: number; readonly query: string; readonly variables: Variables; readonly stream: boolean }
  | { readonly say: 'end'; readonly tab: string; readonly id: number }
  | { readonly say: 'status'; readonly state: LinkStatus['state']; readonly reason?: PlainError | undefined }
  | { readonly say: 'answer'; readonly tab: string; readonly id: number; readonly data: unknown }
  | { readonly say: 'error'; readonly tab: string; readonly id: number; readonly error: PlainError }
);

interface Asked {
  /** Whether there may be more than one answer. */
  readonly stream: boolean;
  next(data: unknown): void;
  ended(error: SynclineError): void;
  /** The connection is lost, or the tab that had it is gone. */
  lost(): void;
}

export class TabsLink implements Link {
  readonly #store: Store;
  readonly #status = new Told<LinkStatus>({ state: 'connecting' });
  readonly #tab = crypto.randomUUID();
  readonly #closing = new AbortController();
  /** What this tab asked of the one that has the connection. */
  readonly #asked = new Map<number, Asked>();
  /** What the others asked of this one, by tab. */
  readonly #served = new Map<string, Map<number, () => void>>();
  #socket: SocketLink | undefined;
  #online = true;
  #nextId = 1;

  constructor(store: Store, options: SocketOptions) {
    this.#store = store;
    const { signal } = this.#closing;
    // Held for as long as this tab is there, so that who serves it learns when it is gone.
    void store.lock(`tab ${this.#tab}`, signal, () => until(signal)).catch(() => undefined);
    void store.lock('connection', signal, () => this.#lead(options)).catch(() => undefined);
    this.#say({ say: 'hello' });
  }

  get status(): LinkStatus {
    return this.#status.value;
  }

  get online(): boolean {
    return this.#online;
  }

  listen(listener: (status: LinkStatus) => void): () => void {
    return this.#status.listen(listener);
  }

  request<T>(query: string, variables: Variables): Promise<T> {
    if (this.#socket) {
      return this.#socket.request<T>(query, variables);
    }
    return new Promise<T>((resolve, reject) => {
      this.#ask(query, variables, {
        stream: false,
        next: (data) => resolve(data as T),
        ended: reject,
        lost: () => reject(offline()),
      });
    });
  }

  subscribe<T>(query: string, variables: Variables, sink: Sink<T>): () => void {
    if (this.#socket) {
      return this.#socket.subscribe(query, variables, sink);
    }
    return this.#ask(query, variables, {
      stream: true,
      next: (data) => sink.next(data as T),
      ended: (error) => sink.ended(error),
      lost: () => undefined,
    });
  }

  wake(): void {
    if (this.#socket) {
      this.#socket.wake();
    } else {
      this.#say({ say: 'wake' });
    }
  }

  setOnline(online: boolean): void {
    this.#goOnline(online);
    this.#say({ say: 'online', online });
  }

  close(): void {
    this.#closing.abort();
    this.#socket?.close();
    this.#lose();
  }

  /** Another tab says something. */
  heard(message: LinkMessage): void {
    if (message.say === 'online') {
      this.#goOnline(message.online);
    } else if (this.#socket) {
      this.#serve(this.#socket, message);
    } else if (message.say === 'status') {
      this.#stands({ state: message.state, reason: message.reason && whole(message.reason) });
    } else if ((message.say === 'answer' || message.say === 'error') && message.tab === this.#tab) {
      const asked = this.#asked.get(message.id);
      if (message.say === 'error' || !asked?.stream) {
        this.#asked.delete(message.id);
      }
      if (message.say === 'answer') {
        asked?.next(message.data);
      } else {
        asked?.ended(whole(message.error));
      }
    }
  }

  #say(message: LinkMessage extends infer M ? (M extends unknown ? Omit<M, 'kind'> : never) : never): void {
    if (!this.#closing.signal.aborted) {
      this.#store.post({ kind: 'link', ...message });
    }
  }

  #goOnline(online: boolean): void {
    this.#online = online;
    this.#socket?.setOnline(online);
  }

  #stands(status: LinkStatus): void {
    if (status.state !== 'live') {
      this.#lose();
    }
    if (status.state !== this.status.state || status.reason?.code !== this.status.reason?.code) {
      this.#status.set(status);
    }
  }

  #lose(): void {
    const lost = [...this.#asked.values()];
    this.#asked.clear();
    lost.forEach((asked) => asked.lost());
  }

  #ask(query: string, variables: Variables, asked: Asked): () => void {
    if (this.status.state !== 'live') {
      queueMicrotask(() => asked.lost());
      return () => undefined;
    }
    const id = this.#nextId++;
    this.#asked.set(id, asked);
    this.#say({ say: 'ask', tab: this.#tab, id, query, variables, stream: asked.stream });
    return () => {
      if (this.#asked.delete(id)) {
        this.#say({ say: 'end', tab: this.#tab, id });
      }
    };
  }

  // --- having the connection -------------------------------------------------------------------------------------------

  async #lead(options: SocketOptions): Promise<void> {
    const { signal } = this.#closing;
    const socket = new SocketLink(options, this.#online);
    // What was asked of the tab that is gone has no answer.
    this.#lose();
    this.#socket = socket;
    const tell = (status: LinkStatus) => {
      this.#status.set(status);
      this.#say({ say: 'status', state: status.state, reason: status.reason && plain(status.reason) });
    };
    tell(socket.status);
    socket.listen(tell);
    await until(signal);
  }

  #serve(socket: SocketLink, message: LinkMessage): void {
    if (message.say === 'hello') {
      const { state, reason } = socket.status;
      this.#say({ say: 'online', online: this.#online });
      this.#say({ say: 'status', state, reason: reason && plain(reason) });
    } else if (message.say === 'wake') {
      socket.wake();
    } else if (message.say === 'end') {
      this.#served.get(message.tab)?.get(message.id)?.();
      this.#served.get(message.tab)?.delete(message.id);
    } else if (message.say === 'ask') {
      const { tab, id, query, variables, stream } = message;
      const fail = (error: SynclineError) => this.#say({ say: 'error', tab, id, error: plain(error) });
      const next = (data: unknown) => this.#say({ say: 'answer', tab, id, data });
      if (stream) {
        this.#of(tab).set(id, socket.subscribe(query, variables, { next, ended: fail }));
      } else {
        socket.request(query, variables).then(next, fail);
      }
    }
  }

  /** What a tab has asked for; it is ended when the tab is gone. */
  #of(tab: string): Map<number, () => void> {
    let served = this.#served.get(tab);
    if (served === undefined) {
      this.#served.set(tab, (served = new Map()));
      const gone = async () => {
        this.#served.get(tab)?.forEach((end) => end());
        this.#served.delete(tab);
      };
      void this.#store.lock(`tab ${tab}`, this.#closing.signal, gone).catch(() => undefined);
    }
    return served;
  }
}

const until = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    }
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
