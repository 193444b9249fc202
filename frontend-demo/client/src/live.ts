/** Keeps an open dataset in line with the server: its live changes, and pushes by itself. One tab at a time does. */

import type { Opened } from './context.ts';
import { asError, plain, SynclineError, whole, type PlainError } from './errors.ts';
import type { LinkStatus } from './link.ts';
import { told, type Told } from './listeners.ts';
import { CHANGES, type ChangesData, type Commit } from './protocol.ts';
import { coveredVersion, take } from './records.ts';
import { START, type Draft } from './replica.ts';
import { dropDataset, hasSendable, locked, synchronize, type Handlers } from './synchronize.ts';
import { jittered, sleep } from './waiting.ts';

export interface DatasetStatus {
  readonly state: LinkStatus['state'] | 'catching up';
  readonly reason?: SynclineError | undefined;
}

/** The tab that keeps a dataset says how it stands; one that has just opened it asks, without a state. */
export interface Kept {
  readonly kept: string;
  readonly state?: DatasetStatus['state'];
  readonly reason?: PlainError | undefined;
}

export interface Live {
  readonly status: Told<DatasetStatus>;
  heard(kept: Kept): void;
  /** Push soon, if there is anything to push. */
  nudge(): void;
}

type Event = ChangesData['datasetChanges'];

/** Until `closing` fires, and once no other tab keeps the dataset. */
export function keepLive(opened: Opened, handlers: Handlers, debounce: number): Live {
  const { link, local, store, trace, ref, closing } = opened;
  const status = told<DatasetStatus>({ state: 'catching up' });
  let events: Event[] = [];
  let draining = false;
  let atStart = false;
  let unsubscribe: (() => void) | undefined;
  let pushing = false;
  let pushAgain = false;
  let failures = 0;
  let keeping = false;
  /** Raised for each connection: what belongs to an earlier one is not heard any more. */
  let connection = 0;

  const say = (state: DatasetStatus['state'], reason?: SynclineError) => {
    status.set({ state, reason });
    store.post({ kept: local.key, state, reason: plain(reason) } satisfies Kept);
  };
  const backOff = () => sleep(100 + jittered(++failures));
  const isLive = () => keeping && link.status.value.state === 'live';
  const catchUp = () => synchronize(opened, handlers, false);

  // --- pushing ---------------------------------------------------------------------------------------------------------

  function nudge(): void {
    pushAgain = true;
    if (!pushing && isLive() && hasSendable(local.replica)) {
      void push();
    }
  }

  async function push(): Promise<void> {
    pushing = true;
    for (pushAgain = true; pushAgain && isLive() && hasSendable(local.replica); ) {
      await sleep(debounce);
      pushAgain = false;
      try {
        await synchronize(opened, handlers);
        failures = 0;
      } catch (cause) {
        const error = asError(cause, 'INTERNAL');
        if (error.retryable) {
          // Without a connection, the next one tries again.
          await backOff();
          pushAgain = true;
        } else if (status.value.state === 'live') {
          // It goes on following. What waits is tried again with the next edit, or the next connection.
          say('live', error);
        }
      }
    }
    pushing = false;
  }

  // --- following -------------------------------------------------------------------------------------------------------

  function leave(): void {
    connection++;
    unsubscribe?.();
    unsubscribe = undefined;
    events = [];
  }

  function linked({ state, reason }: LinkStatus): void {
    leave();
    if (state === 'live') {
      void follow();
    } else {
      say(state, reason);
    }
  }

  async function follow(): Promise<void> {
    const mine = connection;
    const current = () => mine === connection;
    say('catching up');
    try {
      await opened.session();
      // What one's role is in others' datasets is only told while one is connected.
      if (local.replica.head.resyncing || 'id' in ref) {
        await catchUp();
      }
    } catch (cause) {
      if (current()) {
        void ended(asError(cause, 'INTERNAL'));
      }
    }
    if (!current()) {
      return;
    }
    const since = local.replica.head.checkpoint;
    atStart = since === START;
    unsubscribe = link.subscribe<ChangesData>(
      CHANGES,
      { dataset: ref, since },
      {
        next: ({ datasetChanges }) => {
          if (current()) {
            events.push(datasetChanges);
            void drain();
          }
        },
        ended: (error, lost) => {
          if (current() && !lost) {
            void ended(error);
          }
        },
      },
    );
  }

  /** The stream is over, or never began. */
  async function ended(error: SynclineError): Promise<void> {
    leave();
    say(error.retryable ? 'offline' : 'stopped', error);
    const mine = connection;
    if (error.retryable) {
      await backOff();
      if (mine === connection && isLive()) {
        void follow();
      }
    }
  }

  async function drain(): Promise<void> {
    if (draining) {
      return;
    }
    draining = true;
    try {
      while (events.length) {
        await takeNext();
      }
    } catch (cause) {
      void ended(asError(cause, 'INTERNAL'));
    }
    draining = false;
  }

  async function takeNext(): Promise<void> {
    const [event] = events as [Event];
    if (event.__typename === 'Commit') {
      // All that are there already go into one write.
      const others = events.findIndex(({ __typename }) => __typename !== 'Commit');
      await commits(events.splice(0, others < 0 ? events.length : others) as Commit[]);
      return;
    }
    events.shift();
    const { head } = local.replica;
    if (event.__typename === 'Ready') {
      failures = 0;
      trace('ready', local.key, { resumed: event.resumed, version: head.version });
      say('live');
      nudge();
    } else if (event.__typename === 'AccessEnded') {
      trace('access ended', local.key);
      leave();
      say('stopped', new SynclineError('ACCESS_ENDED', 'the dataset is not shared with this identity any more'));
    } else {
      atStart = true;
      if (event.__typename === 'ResyncRequired' && event.reason !== 'DATASET_RECREATED') {
        await catchUp();
      } else if (event.__typename === 'ResyncRequired' || !head.id || head.id === event.datasetId) {
        await gone();
      }
    }
  }

  async function commits(all: readonly Commit[]): Promise<void> {
    // While a push is under way, its answer comes first, and if that was lost, it is asked for: what was pushed would be
    // seen twice.
    const followed = await locked(opened, async () =>
      !local.replica.batch && local.update((draft) => all.every((commit) => applied(draft, commit)), 'elsewhere'),
    );
    atStart = false;
    for (const { version, records } of all) {
      trace('commit', local.key, { version, keys: records.map(({ key }) => key) });
    }
    if (!followed) {
      await catchUp();
    }
  }

  /** Whether the copy now holds the commit; if not, it does not follow on what the copy holds. */
  function applied(draft: Draft, { datasetId, previous, checkpoint, version, records }: Commit): boolean {
    const { head } = draft;
    if (head.id === datasetId && version <= head.version) {
      return true;
    }
    const follows = previous === head.checkpoint || (atStart && head.checkpoint === START);
    if (head.resyncing || !follows) {
      return false;
    }
    const covered = Math.max(version - 1, coveredVersion(records, false));
    const dataset = { id: datasetId };
    take(draft, { since: head.checkpoint, checkpoint, records, complete: false, version: covered, dataset });
    return true;
  }

  async function gone(): Promise<void> {
    const { head } = local.replica;
    if (head.checkpoint !== START || head.id) {
      await dropDataset(opened, handlers, head.checkpoint);
      nudge();
    }
  }

  store.post({ kept: local.key } satisfies Kept);
  store
    .lock(`keep ${local.key}`, closing, async () => {
      keeping = true;
      const stops = [link.status.listen(linked), local.listen(nudge)];
      linked(link.status.value);
      await new Promise((resolve) => closing.addEventListener('abort', resolve));
      keeping = false;
      stops.forEach((stop) => stop());
      leave();
    })
    .catch(() => undefined);
  return {
    status,
    nudge,
    heard({ state, reason }) {
      if (state) {
        status.set({ state, reason: whole(reason) });
      } else if (keeping) {
        say(status.value.state, status.value.reason);
      }
    },
  };
}
