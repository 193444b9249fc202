/** The way to the server: one WebSocket, spoken in `graphql-transport-ws`, made again whenever it is lost. */

import { createClient, type Client as Socket } from 'graphql-ws/client';
import { asError, offline, SynclineError, type Facts } from './errors.ts';
import { Told } from './listeners.ts';

export type Variables = Readonly<Record<string, unknown>>;

export interface LinkStatus {
  readonly state: 'offline' | 'connecting' | 'live' | 'stopped';
  readonly reason?: SynclineError | undefined;
}

export interface Sink<T> {
  next(data: T): void;
  /** The stream is over, for this reason. Not called when the connection is lost: the status says that. */
  ended(error: SynclineError): void;
}

export interface Link {
  readonly status: LinkStatus;
  /** False: it was told to stay away. */
  readonly online: boolean;
  listen(listener: (status: LinkStatus) => void): () => void;
  /** Rejects with the server's error; or with OFFLINE, and then nobody knows whether it arrived. */
  request<T>(query: string, variables: Variables): Promise<T>;
  subscribe<T>(query: string, variables: Variables, sink: Sink<T>): () => void;
  /** Try to connect now rather than later. */
  wake(): void;
  /** Stay away, or come back. */
  setOnline(online: boolean): void;
  close(): void;
}

export interface AuthRequest {
  readonly deviceId: string;
  /** The server refused what was given before. */
  readonly refused: boolean;
}

export type Auth = (request: AuthRequest) => string | Promise<string>;

export interface SocketOptions {
  readonly url: string;
  readonly auth: Auth;
  readonly deviceId: string;
  /** Connect without being asked to, and stay. */
  readonly automatic: boolean;
  readonly WebSocket?: unknown;
}

const PING_MS = 12_000;
const PONG_MS = 8_000;
const ACK_MS = 10_000;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 30_000;
/** How long a connection that nobody needs is kept. */
const LINGER_MS = 10_000;

const UNAUTHORIZED = 4401;
const FORBIDDEN = 4403;
/** After these the server would only say the same again. */
const HOPELESS = [1002, 1007, 1009, 4400, 4406, 4409, 4429];

/** Resolves when there is a connection; rejects if the attempt to make one fails. */
export function connected(link: Link): Promise<void> {
  return new Promise((resolve, reject) => {
    const settled = ({ state, reason }: LinkStatus): boolean => {
      if (state === 'live') {
        resolve();
      } else if (state === 'stopped' || !link.online) {
        reject(reason ?? offline());
      }
      return state === 'live' || state === 'stopped' || !link.online;
    };
    if (settled(link.status)) {
      return;
    }
    const stop = link.listen((status) => {
      if (status.state === 'offline') {
        reject(status.reason ?? offline());
      }
      if (status.state === 'offline' || settled(status)) {
        stop();
      }
    });
    link.wake();
  });
}

export class SocketLink implements Link {
  readonly #options: SocketOptions;
  readonly #status = new Told<LinkStatus>({ state: 'offline' });
  /** Rejects what is under way when the connection is lost. */
  readonly #waiting = new Set<(error: SynclineError) => void>();
  #socket: Socket | undefined;
  #online: boolean;
  #closed = false;
  #users = 0;
  #lingering: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #refusals = 0;
  /** Ends the wait before the next attempt. */
  #hurry: () => void = () => undefined;
  /** Ends the connection, or the attempt to make one, whatever the socket does. */
  #end: (cause: unknown) => void = () => undefined;

  constructor(options: SocketOptions, online: boolean) {
    this.#options = options;
    this.#online = online;
    void this.#run();
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
    return new Promise<T>((resolve, reject) => {
      // The server completes it; graphql-ws counts twice what both sides complete.
      this.#execute<T>(query, variables, { next: resolve, ended: reject, lost: reject });
    });
  }

  subscribe<T>(query: string, variables: Variables, sink: Sink<T>): () => void {
    return this.#execute<T>(query, variables, { ...bound(sink), lost: () => undefined });
  }

  /** What it returns ends it. */
  #execute<T>(query: string, variables: Variables, sink: Sink<T> & { lost(error: SynclineError): void }): () => void {
    const socket = this.#socket;
    if (this.status.state !== 'live' || socket === undefined) {
      queueMicrotask(() => sink.lost(offline()));
      return () => undefined;
    }
    let over = false;
    const finish = (): boolean => {
      const first = !over;
      over = true;
      if (first) {
        this.#waiting.delete(lost);
        this.#release();
      }
      return first;
    };
    const lost = (error: SynclineError) => finish() && sink.lost(error);
    this.#waiting.add(lost);
    this.#hold();
    const end = socket.subscribe<T>(
      { query, variables: { ...variables } },
      {
        next: ({ data, errors }) => {
          if (over) {
            return;
          }
          if (data && !errors) {
            sink.next(data);
          } else if (finish()) {
            sink.ended(failure(errors));
          }
        },
        error: (cause) => Array.isArray(cause) && finish() && sink.ended(failure(cause)),
        complete: () => finish() && sink.ended(new SynclineError('ENDED', 'the server has no more to say', true)),
      },
    );
    return () => finish() && end();
  }

  wake(): void {
    this.#hold();
    this.#release();
    this.#hurry();
  }

  setOnline(online: boolean): void {
    this.#online = online;
    if (online) {
      this.#failures = this.#refusals = 0;
      this.wake();
    } else {
      this.#drop(offline());
      this.#hurry();
    }
  }

  close(): void {
    this.#closed = true;
    this.#drop(offline('the client is closed'));
    this.#hurry();
  }

  #hold(): void {
    this.#users++;
    clearTimeout(this.#lingering);
  }

  #release(): void {
    if (--this.#users === 0 && !this.#options.automatic) {
      this.#users = 1;
      this.#lingering = setTimeout(() => {
        this.#users--;
        this.#drop(offline());
      }, LINGER_MS);
    }
  }

  // --- connecting ------------------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    while (!this.#closed) {
      if (!this.#online || this.status.state === 'stopped' || (!this.#options.automatic && this.#users === 0)) {
        if (this.status.state !== 'stopped') {
          this.#say('offline', this.status.reason);
        }
        await this.#pause(Infinity);
        if (this.#online && this.status.state === 'stopped' && this.#refusals === 0) {
          this.#say('offline');
        }
        continue;
      }
      this.#say('connecting');
      const reason = await this.#connection();
      if (this.#closed) {
        return;
      }
      this.#drop(reason);
      if (!reason.retryable) {
        this.#say('stopped', reason);
        this.#refusals ||= 1;
      } else if (this.#online) {
        this.#say('offline', reason);
        // Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        await this.#pause(this.#failures === 0 ? 0 : Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures));
        this.#failures++;
      }
    }
  }

  /** One connection, from its beginning to its end, and why it ended. */
  async #connection(): Promise<SynclineError> {
    const { url, auth, deviceId, WebSocket } = this.#options;
    let token: string;
    try {
      token = await auth({ deviceId, refused: this.#refusals > 0 });
      if (!token) {
        throw new SynclineError('AUTH_FAILED', 'auth gave no token', true);
      }
    } catch (cause) {
      this.#failures ||= 1;
      return new SynclineError('AUTH_FAILED', asError(cause, 'AUTH_FAILED').message, true);
    }
    if (this.#closed || !this.#online) {
      return offline();
    }
    return new Promise((resolve) => {
      let silence: ReturnType<typeof setTimeout> | undefined;
      const over = (cause: unknown) => {
        clearTimeout(silence);
        resolve(cause instanceof SynclineError ? cause : this.#reason(cause));
      };
      this.#end = over;
      const socket = createClient({
        url: url.replace(/^http/, 'ws'),
        connectionParams: { authorization: `Bearer ${token}`, device: deviceId },
        ...(WebSocket === undefined ? {} : { webSocketImpl: WebSocket }),
        lazy: false,
        retryAttempts: 0,
        connectionAckWaitTimeout: ACK_MS,
        keepAlive: PING_MS,
        onNonLazyError: over,
        on: {
          connected: () => {
            if (this.#socket === socket) {
              this.#failures = this.#refusals = 0;
              this.#say('live');
            }
          },
          ping: (received) => {
            if (!received) {
              silence = setTimeout(() => socket.terminate(), PONG_MS);
            }
          },
          message: () => clearTimeout(silence),
          closed: over,
        },
      });
      this.#socket = socket;
    });
  }

  /** Why a connection ended. One that is not retryable stops the client. */
  #reason(cause: unknown): SynclineError {
    const { code, reason } = (cause ?? {}) as { readonly code?: unknown; readonly reason?: unknown };
    const said = typeof reason === 'string' && reason ? reason : 'the connection was lost';
    const closeCode = typeof code === 'number' ? code : 0;
    if (closeCode === UNAUTHORIZED || closeCode === FORBIDDEN) {
      // Once with a fresh token: what was given may just have expired.
      return new SynclineError('TOKEN_REJECTED', said, this.#refusals++ === 0, { closeCode });
    }
    this.#failures ||= 1;
    return new SynclineError('OFFLINE', said, !HOPELESS.includes(closeCode), closeCode ? { closeCode } : {});
  }

  #say(state: LinkStatus['state'], reason?: SynclineError): void {
    if (state !== this.status.state || reason !== this.status.reason) {
      this.#status.set(reason ? { state, reason } : { state });
    }
  }

  #drop(reason: SynclineError): void {
    const socket = this.#socket;
    this.#socket = undefined;
    if (this.status.state === 'live' || this.status.state === 'connecting') {
      this.#say('offline', reason);
    }
    for (const lost of [...this.#waiting]) {
      lost(reason.code === 'OFFLINE' ? reason : offline(reason.message));
    }
    this.#end(reason);
    void socket?.dispose();
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = milliseconds === Infinity ? undefined : setTimeout(resolve, milliseconds);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

const bound = <T>(sink: Sink<T>): Sink<T> => ({
  next: (data) => sink.next(data),
  ended: (error) => sink.ended(error),
});

interface GraphQLErrorLike {
  readonly message: string;
  readonly extensions?: unknown;
}

function failure(errors: readonly GraphQLErrorLike[] | undefined): SynclineError {
  const [first] = errors ?? [];
  const { code, retryable, ...facts } = (first?.extensions ?? {}) as Facts;
  return new SynclineError(
    typeof code === 'string' ? code : 'INTERNAL',
    first?.message ?? 'the server sent no data',
    retryable === true,
    facts,
  );
}
