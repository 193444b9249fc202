/** The way to the server: one WebSocket, spoken in `graphql-transport-ws`, made again whenever it is lost. */

import { createClient, type Client as Socket } from 'graphql-ws/client';
import { asError, offline, SynclineError, type Facts } from './errors.ts';
import { told, type Told } from './listeners.ts';
import { jittered } from './waiting.ts';

export type Variables = Readonly<Record<string, unknown>>;

export interface LinkStatus {
  readonly state: 'offline' | 'connecting' | 'live' | 'stopped';
  readonly reason?: SynclineError | undefined;
}

export interface Sink<T> {
  next(data: T): void;
  /** There is nothing more. `lost`: only because the connection is; the status says so, too. */
  ended(error: SynclineError, lost: boolean): void;
}

export interface Link {
  readonly status: Told<LinkStatus>;
  /** False: it was told to stay away. */
  readonly online: boolean;
  /** An answer of the server's, or several. What this answers ends it. */
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

const UNAUTHORIZED = 4401;
const FORBIDDEN = 4403;
/** After these the server would only say the same again. */
const HOPELESS = [1002, 1007, 1009, 4400, 4406, 4409, 4429];

/** Resolves when there is a connection; rejects if the attempt to make one fails. */
export function connected(link: Link): Promise<void> {
  const { status } = link;
  return new Promise((resolve, reject) => {
    const settled = (failed: boolean): boolean => {
      const { state, reason } = status.value;
      if (state === 'live') {
        resolve();
      } else if (failed || state === 'stopped' || !link.online) {
        reject(reason ?? offline());
      } else {
        return false;
      }
      return true;
    };
    if (!settled(false)) {
      const stop = status.listen(({ state }) => settled(state === 'offline') && stop());
      link.wake();
    }
  });
}

/** Rejects with the server's error; or with OFFLINE, and then nobody knows whether it arrived. */
export const request = <T>(link: Link, query: string, variables: Variables): Promise<T> =>
  // The server completes it; graphql-ws counts twice what both sides complete.
  new Promise<T>((resolve, reject) => void link.subscribe<T>(query, variables, { next: resolve, ended: reject }));

export function socketLink({ url, auth, deviceId, automatic, WebSocket }: SocketOptions, online: boolean): Link {
  const status = told<LinkStatus>({ state: 'offline' });
  /** Ends what is under way when the connection is lost. */
  const waiting = new Set<(error: SynclineError) => void>();
  let socket: Socket | undefined;
  let closed = false;
  /** Not automatic: somebody asked for a connection, and there was none since. */
  let wanted = automatic;
  let failures = 0;
  let refusals = 0;
  /** Ends the wait before the next attempt. */
  let hurry: () => void = () => undefined;
  /** Ends the connection, or the attempt to make one, whatever the socket does. */
  let end: (reason: SynclineError) => void = () => undefined;

  const say = (state: LinkStatus['state'], reason?: SynclineError) => {
    if (state !== status.value.state || reason !== status.value.reason) {
      status.set({ state, reason });
    }
  };

  function subscribe<T>(query: string, variables: Variables, sink: Sink<T>): () => void {
    if (!socket || status.value.state !== 'live') {
      queueMicrotask(() => sink.ended(offline(), true));
      return () => undefined;
    }
    let open = true;
    const finish = (error?: SynclineError, isLost = false): boolean => {
      const first = open;
      open = false;
      waiting.delete(lost);
      if (first && error) {
        sink.ended(error, isLost);
      }
      return first;
    };
    const lost = (error: SynclineError) => finish(error, true);
    waiting.add(lost);
    const stop = socket.subscribe<T>(
      { query, variables: { ...variables } },
      {
        next: ({ data, errors }) => {
          if (data && !errors) {
            open && sink.next(data);
          } else {
            finish(failure(errors));
          }
        },
        error: (cause) => Array.isArray(cause) && finish(failure(cause)),
        complete: () => finish(failure(undefined)),
      },
    );
    return () => finish() && stop();
  }

  function drop(reason: SynclineError): void {
    const dropped = socket;
    socket = undefined;
    if (status.value.state !== 'stopped') {
      say('offline', reason);
    }
    [...waiting].forEach((lost) => lost(reason.code === 'OFFLINE' ? reason : offline(reason.message)));
    end(reason);
    // It waits for a connection that is just being made, and rejects if there will be none.
    Promise.resolve(dropped?.dispose()).catch(() => undefined);
  }

  const pause = (milliseconds?: number) =>
    new Promise<void>((resolve) => {
      const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds);
      hurry = () => (clearTimeout(timer), resolve());
    });

  async function run(): Promise<void> {
    while (!closed) {
      if (!online || status.value.state === 'stopped' || !wanted) {
        await pause();
        continue;
      }
      say('connecting');
      const reason = await connection();
      wanted = automatic;
      drop(reason);
      if (!reason.retryable) {
        say('stopped', reason);
      } else if (online && !closed && failures++) {
        await pause(jittered(failures));
      }
    }
  }

  /** One connection, from its beginning to its end, and why it ended. */
  async function connection(): Promise<SynclineError> {
    let token: string;
    try {
      token = await auth({ deviceId, refused: refusals > 0 });
      if (!token) {
        throw new Error('auth gave no token');
      }
    } catch (cause) {
      failures ||= 1;
      return new SynclineError('AUTH_FAILED', asError(cause, '').message, true);
    }
    if (closed || !online) {
      return offline();
    }
    return new Promise((resolve) => {
      let silence: ReturnType<typeof setTimeout> | undefined;
      end = resolve;
      const over = (cause: unknown) => resolve(reasonOf(cause));
      const made = createClient({
        url: url.replace(/^http/, 'ws'),
        connectionParams: { authorization: `Bearer ${token}`, device: deviceId },
        ...(WebSocket ? { webSocketImpl: WebSocket } : {}),
        lazy: false,
        retryAttempts: 0,
        connectionAckWaitTimeout: ACK_MS,
        keepAlive: PING_MS,
        onNonLazyError: over,
        on: {
          connected: () => {
            if (socket === made) {
              failures = refusals = 0;
              say('live');
            }
          },
          ping: (received) => {
            if (!received) {
              silence = setTimeout(() => made.terminate(), PONG_MS);
            }
          },
          message: () => clearTimeout(silence),
          closed: (event) => {
            clearTimeout(silence);
            over(event);
          },
        },
      });
      socket = made;
    });
  }

  /** Why a connection ended. A reason that is not retryable stops the client. */
  function reasonOf(cause: unknown): SynclineError {
    const { code: closeCode = 0, reason } = (cause ?? {}) as { readonly code?: number; readonly reason?: string };
    const said = reason || 'the connection is lost';
    if (closeCode === UNAUTHORIZED || closeCode === FORBIDDEN) {
      // Once more with a fresh token: what was given may just have expired.
      return new SynclineError('TOKEN_REJECTED', said, !refusals++, { closeCode });
    }
    failures ||= 1;
    return new SynclineError('OFFLINE', said, !HOPELESS.includes(closeCode), { closeCode });
  }

  function wake(): void {
    wanted = true;
    hurry();
  }

  void run();
  return {
    status,
    get online() {
      return online;
    },
    subscribe,
    wake,
    setOnline(next) {
      online = next;
      if (next) {
        failures = refusals = 0;
        if (status.value.state === 'stopped') {
          say('offline');
        }
        wake();
      } else {
        drop(offline());
        hurry();
      }
    },
    close() {
      closed = true;
      drop(offline('the client is closed'));
      hurry();
    },
  };
}

interface GraphQLErrorLike {
  readonly message: string;
  readonly extensions?: unknown;
}

function failure(errors: readonly GraphQLErrorLike[] | undefined): SynclineError {
  const [first] = errors ?? [];
  const { code = 'INTERNAL', retryable = !first, ...facts } = (first?.extensions ?? {}) as Facts;
  return new SynclineError(code as string, first?.message ?? 'the server has no more to say', retryable as boolean, facts);
}
