/** Keeps an open dataset in line with the server: its live changes, and pushes by itself. One tab at a time does. */

import { localKey, sleep, type Context } from './context.ts';
import type { ConflictPolicy } from './edits.ts';
import { asError, SynclineError } from './errors.ts';
import type { LinkStatus } from './link.ts';
import { Told } from './listeners.ts';
import type { LocalDataset } from './local.ts';
import { CHANGES, type ChangesData, type Commit, type DatasetRef } from './protocol.ts';
import { coveredVersion, take } from './records.ts';
import { START, type Draft } from './replica.ts';
import { hasSendable, Synchronizer, type Handlers } from './synchronize.ts';

export interface DatasetStatus {
  readonly state: LinkStatus['state'] | 'catching up';
  readonly reason?: SynclineError | undefined;
}

type Event = ChangesData['datasetChanges'];

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;

export class Live {
  readonly status: Told<DatasetStatus>;
  readonly #context: Context;
  readonly #local: LocalDataset;
  readonly #ref: DatasetRef;
  readonly #policy: ConflictPolicy | undefined;
  readonly #handlers: Handlers;
  #events: Event[] = [];
  #draining = false;
  #atStart = false;
  #unsubscribe: (() => void) | undefined;
  #pushing = false;
  #pushAgain = false;
  #failures = 0;
  #keeping = false;
  /** Raised for each connection: what belongs to an earlier one is not heard any more. */
  #connection = 0;

  constructor(context: Context, local: LocalDataset, ref: DatasetRef, policy: ConflictPolicy | undefined, handlers: Handlers) {
    this.#context = context;
    this.#local = local;
    this.#ref = ref;
    this.#policy = policy;
    this.#handlers = handlers;
    this.status = new Told<DatasetStatus>(context.link.status);
  }

  /** Whether this tab is the one that keeps the dataset. */
  get keeping(): boolean {
    return this.#keeping;
  }

  /** Until `signal` fires; once no other tab keeps the dataset. */
  keep(signal: AbortSignal): Promise<void> {
    return this.#context.store.lock(`keep ${localKey(this.#ref)}`, signal, async () => {
      this.#keeping = true;
      const { link } = this.#context;
      const stops = [link.listen((status) => this.#linked(status)), this.#local.listen(() => this.nudge())];
      this.#linked(link.status);
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      stops.forEach((stop) => stop());
      this.#leave();
      this.#keeping = false;
    });
  }

  /** Push soon, if there is anything to push. */
  nudge(): void {
    if (!this.#keeping || this.#context.link.status.state !== 'live' || !hasSendable(this.#local.replica)) {
      return;
    }
    if (this.#pushing) {
      this.#pushAgain = true;
      return;
    }
    this.#pushing = true;
    void this.#push().finally(() => {
      this.#pushing = false;
      if (this.#pushAgain) {
        this.#pushAgain = false;
        this.nudge();
      }
    });
  }

  async #push(): Promise<void> {
    await sleep(this.#context.debounce);
    try {
      await this.#synchronizer().run();
      this.#failures = 0;
    } catch (cause) {
      const error = asError(cause, 'INTERNAL');
      if (error.retryable && error.code !== 'OFFLINE') {
        await this.#backOff();
        this.#pushAgain = true;
      } else if (!error.retryable && this.status.value.state === 'live') {
        // It goes on following; what waits is tried again with the next edit or connection.
        this.#say('live', error);
      }
    }
  }

  #synchronizer(): Synchronizer {
    return new Synchronizer(this.#context, this.#local, this.#ref, this.#policy, this.#handlers);
  }

  #backOff(): Promise<void> {
    const most = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++);
    return sleep(most * (0.5 + Math.random() / 2));
  }

  #say(state: DatasetStatus['state'], reason?: SynclineError): void {
    this.status.set(reason ? { state, reason } : { state });
  }

  // --- following -------------------------------------------------------------------------------------------------------

  #linked({ state, reason }: LinkStatus): void {
    this.#leave();
    if (state === 'live') {
      void this.#follow();
    } else {
      this.#say(state, reason);
    }
  }

  #leave(): void {
    this.#connection++;
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#events = [];
  }

  async #follow(): Promise<void> {
    const connection = this.#connection;
    const current = () => connection === this.#connection;
    this.#say('catching up');
    try {
      await this.#context.session();
      if (this.#local.replica.head.resyncing) {
        await this.#catchUp();
      }
    } catch (cause) {
      if (current()) {
        void this.#ended(asError(cause, 'INTERNAL'));
      }
      return;
    }
    if (!current()) {
      return;
    }
    const since = this.#local.replica.head.checkpoint;
    this.#atStart = since === START;
    this.#unsubscribe = this.#context.link.subscribe<ChangesData>(
      CHANGES,
      { dataset: this.#ref, since },
      {
        next: ({ datasetChanges }) => {
          if (current()) {
            this.#events.push(datasetChanges);
            void this.#drain();
          }
        },
        ended: (error) => current() && void this.#ended(error),
      },
    );
  }

  /** The stream is over, or never began. */
  async #ended(error: SynclineError): Promise<void> {
    this.#leave();
    if (this.status.value.state === 'stopped') {
      return;
    }
    const retryable = error.retryable && error.code !== 'OFFLINE';
    this.#say(error.retryable ? 'offline' : 'stopped', error);
    if (retryable) {
      const connection = this.#connection;
      await this.#backOff();
      if (connection === this.#connection && this.#keeping && this.#context.link.status.state === 'live') {
        void this.#follow();
      }
    }
  }

  async #drain(): Promise<void> {
    if (this.#draining) {
      return;
    }
    this.#draining = true;
    try {
      while (this.#events.length > 0) {
        await this.#takeNext();
      }
    } catch (cause) {
      const error = asError(cause, 'INTERNAL');
      if (error.code !== 'OFFLINE') {
        void this.#ended(error);
      }
    } finally {
      this.#draining = false;
    }
  }

  async #takeNext(): Promise<void> {
    const [event] = this.#events as [Event];
    if (event.__typename === 'Commit') {
      // All that are there already go into one write.
      const others = this.#events.findIndex(({ __typename }) => __typename !== 'Commit');
      await this.#commits(this.#events.splice(0, others < 0 ? this.#events.length : others) as Commit[]);
      return;
    }
    this.#events.shift();
    const { head } = this.#local.replica;
    switch (event.__typename) {
      case 'Ready':
        this.#failures = 0;
        this.#context.trace('ready', this.#local.key, { resumed: event.resumed, version: head.version });
        this.#say('live');
        this.nudge();
        break;
      case 'ResyncRequired':
        this.#atStart = true;
        if (event.reason === 'DATASET_RECREATED') {
          await this.#gone();
        } else {
          await this.#catchUp();
        }
        break;
      case 'DatasetDeleted':
        this.#atStart = true;
        if (head.id === undefined || head.id === event.datasetId) {
          await this.#gone();
        }
        break;
      case 'AccessEnded':
        this.#context.trace('access ended', this.#local.key);
        this.#leave();
        this.#say('stopped', new SynclineError('ACCESS_ENDED', 'the dataset is no longer shared with this identity'));
        break;
    }
  }

  async #commits(commits: readonly Commit[]): Promise<void> {
    const { store, closing } = this.#context;
    // While a push is under way, its answer comes first: what it pushed would be seen twice.
    const followed = await store.lock(`talk ${this.#local.key}`, closing, () =>
      this.#local.update((draft) => commits.every((commit) => this.#applied(draft, commit)), 'elsewhere'),
    );
    this.#atStart = false;
    for (const { version, records, author } of commits) {
      const keys = records.map(({ key }) => key);
      this.#context.trace('commit', this.#local.key, { version, keys, author });
    }
    if (!followed) {
      await this.#catchUp();
    }
  }

  /** Whether the copy now holds the commit; if not, it does not follow on what the copy holds. */
  #applied(draft: Draft, { datasetId, previous, checkpoint, version, records }: Commit): boolean {
    const { head } = draft;
    if (head.id === datasetId && version <= head.version) {
      return true;
    }
    const follows = previous === head.checkpoint || (this.#atStart && head.checkpoint === START);
    if (head.resyncing || !follows) {
      return false;
    }
    const covered = Math.max(version - 1, coveredVersion(records, false));
    const dataset = { id: datasetId };
    take(draft, { since: head.checkpoint, checkpoint, records, complete: false, version: covered, dataset });
    return true;
  }

  async #gone(): Promise<void> {
    const { head } = this.#local.replica;
    if (head.checkpoint !== START || head.id !== undefined) {
      await this.#synchronizer().datasetDeleted(head.checkpoint);
      this.nudge();
    }
  }

  async #catchUp(): Promise<void> {
    await this.#synchronizer().run(false);
  }
}
