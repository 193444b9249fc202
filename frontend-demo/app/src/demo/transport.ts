/** One device's WebSocket to the server, spoken in `graphql-transport-ws`. */

import { createClient } from 'graphql-ws/client';

export type Variables = Record<string, unknown>;

export interface Link {
  /** The operation's data. Rejects with OperationFailed; or, if the link is lost meanwhile, with anything else. */
  request<Data>(query: string, variables: Variables): Promise<Data>;
  subscribe<Data>(query: string, variables: Variables, listener: StreamListener<Data>): () => void;
  close(): void;
}

export interface StreamListener<Data> {
  next(data: Data): void;
  /** The stream is over, for this reason; not called if the link is lost. */
  ended(failure: OperationFailed): void;
}

export interface LinkListener {
  connected(): void;
  /** At most once, and not after `close`. The link is of no more use. */
  lost(reason: string): void;
}

/** The server answered with GraphQL errors; this is the first one. */
export class OperationFailed extends Error {
  readonly code: string;
  /** Whether the same can succeed later. */
  readonly retryable: boolean;

  constructor(message: string, code: string, retryable: boolean) {
    super(message);
    this.code = code;
    this.retryable = retryable;
  }
}

export type Connect = (token: string, listener: LinkListener) => Link;

/** Links to `path` on the page's own host. They do not come back by themselves: the device knows better from where. */
export function linksTo(path: string): Connect {
  const url = new URL(path, window.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return (token, listener) => connect(url.href, token, listener);
}

function connect(url: string, token: string, listener: LinkListener): Link {
  let over = false;
  const lost = (reason: string) => {
    if (!over) {
      over = true;
      void client.dispose();
      listener.lost(reason);
    }
  };
  const client = createClient({
    url,
    connectionParams: { authorization: `Bearer ${token}` },
    lazy: false,
    retryAttempts: 0,
    connectionAckWaitTimeout: 10_000,
    onNonLazyError: (cause) => lost(reasonOf(cause)),
    on: { connected: () => over || listener.connected(), closed: (cause) => lost(reasonOf(cause)) },
  });
  return {
    request: <Data>(query: string, variables: Variables) =>
      new Promise<Data>((resolve, reject) => {
        client.subscribe<Data>(
          { query, variables },
          {
            next: ({ data, errors }) => (data && !errors ? resolve(data) : reject(failureOf(errors))),
            error: (cause) => reject(Array.isArray(cause) ? failureOf(cause) : new Error(reasonOf(cause))),
            complete: () => reject(failureOf(undefined)),
          },
        );
      }),
    subscribe: <Data>(query: string, variables: Variables, stream: StreamListener<Data>) => {
      let unsubscribed = false;
      const end = (failure: OperationFailed) => unsubscribed || over || stream.ended(failure);
      const unsubscribe = client.subscribe<Data>(
        { query, variables },
        {
          next: ({ data, errors }) => {
            if (unsubscribed || over) {
              return;
            }
            if (data && !errors) {
              stream.next(data);
            } else {
              end(failureOf(errors));
            }
          },
          error: (cause) => {
            if (Array.isArray(cause)) {
              end(failureOf(cause));
            }
          },
          complete: () => end(new OperationFailed('the subscription ended', 'ENDED', true)),
        },
      );
      return () => {
        unsubscribed = true;
        unsubscribe();
      };
    },
    close: () => {
      over = true;
      void client.dispose();
    },
  };
}

interface ErrorLike {
  readonly message: string;
  readonly extensions?: unknown;
}

function failureOf(errors: readonly ErrorLike[] | undefined): OperationFailed {
  const [first] = errors ?? [];
  const { code, retryable } = (first?.extensions ?? {}) as { code?: unknown; retryable?: unknown };
  return new OperationFailed(
    first?.message ?? 'the server sent no data',
    typeof code === 'string' ? code : 'UNKNOWN',
    retryable === true,
  );
}

function reasonOf(cause: unknown): string {
  if (cause instanceof CloseEvent) {
    return cause.reason ? `${cause.reason} (${cause.code})` : `closed with ${cause.code}`;
  }
  return cause instanceof Error ? cause.message : 'the server cannot be reached';
}
