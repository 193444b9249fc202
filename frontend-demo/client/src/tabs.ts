/** One connection for all tabs: the tab that holds the lock has it, and the others ask that tab. */

import { offline, plain, whole, type PlainError } from './errors.ts';
import { socketLink, type Link, type LinkStatus, type Sink, type SocketOptions, type Variables } from './link.ts';
import { told } from './listeners.ts';
import type { Store } from './storage.ts';

/** What tabs say to each other about the connection. `id`: of what a tab asked the one that has the connection. */
export type LinkMessage =
  | { readonly link: 'hello' | 'wake' }
  | { readonly link: 'online'; readonly online: boolean }
  | { readonly link: 'ask'; readonly tab: string; readonly id: string; readonly query: string; readonly variables: Variables }
  | { readonly link: 'end'; readonly tab: string; readonly id: string }
  | { readonly link: 'status'; readonly state: LinkStatus['state']; readonly reason: PlainError | undefined }
  | { readonly link: 'next'; readonly id: string; readonly data: unknown }
  | { readonly link: 'ended'; readonly id: string; readonly error: PlainError | undefined; readonly lost: boolean };

export interface TabsLink extends Link {
  /** Another tab says something. */
  heard(message: LinkMessage): void;
}

export function tabsLink(store: Store, options: SocketOptions): TabsLink {
  const status = told<LinkStatus>({ state: 'connecting' });
  const tab = crypto.randomUUID();
  const closing = new AbortController();
  /** What this tab asked of the one that has the connection. */
  const asked = new Map<string, Sink<unknown>>();
  /** What the others asked of this one, by tab. */
  const served = new Map<string, Map<string, () => void>>();
  let socket: Link | undefined;
  let online = true;

  const say = (message: LinkMessage) => store.post(message);
  const lock = (name: string, work: () => Promise<void>) =>
    void store.lock(name, closing.signal, work).catch(() => undefined);
  const untilClosed = () => new Promise<void>((resolve) => closing.signal.addEventListener('abort', () => resolve()));

  /** What was asked of the tab that had the connection has no answer any more. */
  const lose = () => {
    const sinks = [...asked.values()];
    asked.clear();
    sinks.forEach((sink) => sink.ended(offline(), true));
  };

  const tellStatus = () => {
    const { state, reason } = status.value;
    say({ link: 'status', state, reason: plain(reason) });
  };

  // Held for as long as this tab is there, so that who serves it learns when it is gone.
  lock(`tab ${tab}`, untilClosed);
  lock('connection', () => {
    lose();
    socket = socketLink(options, online);
    const changed = (now: LinkStatus) => {
      status.set(now);
      tellStatus();
    };
    changed(socket.status.value);
    socket.status.listen(changed);
    return untilClosed();
  });
  say({ link: 'hello' });

  function serve(link: Link, message: LinkMessage): void {
    if (message.link === 'hello') {
      say({ link: 'online', online });
      tellStatus();
    } else if (message.link === 'wake') {
      link.wake();
    } else if (message.link === 'ask') {
      const { id, query, variables } = message;
      of(message.tab).set(
        id,
        link.subscribe<unknown>(query, variables, {
          next: (data) => say({ link: 'next', id, data }),
          ended: (error, lost) => say({ link: 'ended', id, error: plain(error), lost }),
        }),
      );
    } else if (message.link === 'end') {
      of(message.tab).get(message.id)?.();
      of(message.tab).delete(message.id);
    }
  }

  /** What a tab has asked for; it is ended when the tab is gone. */
  function of(other: string): Map<string, () => void> {
    let its = served.get(other);
    if (!its) {
      const asks = (its = new Map());
      served.set(other, asks);
      lock(`tab ${other}`, async () => {
        asks.forEach((end) => end());
        served.delete(other);
      });
    }
    return its;
  }

  function goOnline(wanted: boolean): void {
    online = wanted;
    socket?.setOnline(wanted);
  }

  return {
    status,
    get online() {
      return online;
    },
    subscribe<T>(query: string, variables: Variables, sink: Sink<T>) {
      if (socket) {
        return socket.subscribe(query, variables, sink);
      }
      if (status.value.state !== 'live') {
        queueMicrotask(() => sink.ended(offline(), true));
        return () => undefined;
      }
      const id = crypto.randomUUID();
      asked.set(id, sink as Sink<unknown>);
      say({ link: 'ask', tab, id, query, variables });
      return () => asked.delete(id) && say({ link: 'end', tab, id });
    },
    wake() {
      if (socket) {
        socket.wake();
      } else {
        say({ link: 'wake' });
      }
    },
    setOnline(wanted) {
      // Before the status that comes of it: whoever is told of that one looks what is wanted.
      say({ link: 'online', online: wanted });
      goOnline(wanted);
    },
    close() {
      online = false;
      closing.abort();
      socket?.close();
      lose();
    },
    heard(message) {
      if (message.link === 'online') {
        if (message.online !== online) {
          goOnline(message.online);
          status.set(status.value);
        }
      } else if (socket) {
        serve(socket, message);
      } else if (message.link === 'status') {
        const { state, reason } = message;
        if (state !== 'live') {
          lose();
        }
        if (state !== status.value.state || reason?.code !== status.value.reason?.code) {
          status.set({ state, reason: whole(reason) });
        }
      } else if (message.link === 'next') {
        asked.get(message.id)?.next(message.data);
      } else if (message.link === 'ended') {
        const sink = asked.get(message.id);
        asked.delete(message.id);
        sink?.ended(whole(message.error)!, message.lost);
      }
    },
  };
}
