/** The shell around a device: does what `nextStep` says, and tells the device what came of it. */

import { changeInput } from './changes.ts';
import { nextStep, reduce, type Device, type DeviceEvent, type Step } from './device.ts';
import {
  CHANGES,
  DATASET,
  DATASET_CHANGES,
  DELETE_DATASET,
  SYNC,
  type DatasetEvent,
  type PullResult,
  type SyncResult,
} from './protocol.ts';
import { DemoUnavailable } from './token.ts';
import { OperationFailed, type Connect, type Link } from './transport.ts';

export interface World {
  fetchToken(): Promise<string>;
  connect: Connect;
  newId(): string;
  random(): number;
  /** Called with every new state. */
  changed(device: Device): void;
}

const FIRST_DELAY_MS = 500;
const GREATEST_DELAY_MS = 10_000;

export class Session {
  private link: Link | null = null;
  private unsubscribe: (() => void) | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private failures = 0;
  /** Changes with every connection, so that what an earlier one still has to say is not heard. */
  private attempt = 0;
  private current: Device;
  private readonly world: World;

  constructor(device: Device, world: World) {
    this.current = device;
    this.world = world;
  }

  get device(): Device {
    return this.current;
  }

  start(): void {
    this.act();
  }

  dispatch(event: DeviceEvent): void {
    this.current = reduce(this.current, event);
    this.world.changed(this.current);
    this.act();
  }

  /** Delete the dataset on the server; true if this device could ask for it. */
  async deleteDataset(): Promise<boolean> {
    if (this.link === null || this.current.link !== 'up') {
      return false;
    }
    try {
      await this.link.request(DELETE_DATASET, { dataset: DATASET });
    } catch {
      // There is none, or the link was lost. Either way there is nothing to add to what the log shows.
    }
    return true;
  }

  private act(): void {
    const { link, stream } = this.current;
    if (stream === 'closed') {
      this.unsubscribe?.();
      this.unsubscribe = null;
    }
    if (link === 'down' || link === 'waiting') {
      this.attempt += 1;
      this.link?.close();
      this.link = null;
    }
    if (link === 'waiting') {
      this.timer ??= setTimeout(() => this.dispatch({ type: 'waited' }), this.delay());
    } else if (this.timer !== null) {
      clearTimeout(this.timer);
      this.timer = null;
    }
    const step = nextStep(this.current);
    if (step !== null) {
      this.take(step);
    }
  }

  private take(step: Step): void {
    switch (step) {
      case 'connect':
        this.dispatch({ type: 'connecting' });
        void this.connect(this.attempt);
        break;
      case 'push':
        this.dispatch({ type: 'pushing', mutationId: this.world.newId() });
        void this.push();
        break;
      case 'pull':
        this.dispatch({ type: 'pulling' });
        void this.pull();
        break;
      case 'stream':
        this.dispatch({ type: 'streaming' });
        this.stream();
        break;
    }
  }

  private async connect(attempt: number): Promise<void> {
    const ifCurrent = (event: DeviceEvent) => {
      if (attempt === this.attempt) {
        this.dispatch(event);
      }
    };
    try {
      const token = await this.world.fetchToken();
      if (attempt === this.attempt) {
        this.link = this.world.connect(token, {
          connected: () => ifCurrent({ type: 'connected' }),
          lost: (reason) => ifCurrent({ type: 'lost', reason }),
        });
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      ifCurrent(error instanceof DemoUnavailable ? { type: 'halted', message } : { type: 'lost', reason: message });
    }
  }

  private push(): Promise<void> {
    const { push, replica } = this.current;
    const since = replica.checkpoint;
    const input = {
      dataset: DATASET,
      since,
      mutationId: push?.mutationId,
      changes: push?.changes.map(changeInput),
      onConflict: 'REJECT',
      // Items have nothing to do with each other: one in conflict does not hold up the others.
      atomic: false,
    };
    return this.request<{ sync: SyncResult }>(SYNC, { input }, 'refused', ({ sync }) =>
      this.dispatch({ type: 'pushed', since, result: sync }),
    );
  }

  private pull(): Promise<void> {
    const since = this.current.replica.checkpoint;
    return this.request<{ changes: PullResult }>(CHANGES, { dataset: DATASET, since }, 'halted', ({ changes }) =>
      this.dispatch({ type: 'pulled', since, result: changes }),
    );
  }

  private async request<Data>(
    query: string,
    variables: Record<string, unknown>,
    refusal: 'refused' | 'halted',
    answered: (data: Data) => void,
  ): Promise<void> {
    const { attempt, link } = this;
    let data: Data;
    try {
      if (link === null) {
        return;
      }
      data = await link.request<Data>(query, variables);
    } catch (error) {
      if (attempt === this.attempt && error instanceof OperationFailed) {
        this.failed(error, refusal);
      }
      return;
    }
    if (attempt === this.attempt) {
      answered(data);
    }
  }

  private stream(): void {
    const { attempt } = this;
    const since = this.current.replica.checkpoint;
    this.unsubscribe =
      this.link?.subscribe<{ datasetChanges: DatasetEvent }>(
        DATASET_CHANGES,
        { dataset: DATASET, since },
        {
          next: ({ datasetChanges }) => {
            if (attempt === this.attempt) {
              this.failures = 0;
              this.dispatch({ type: 'heard', event: datasetChanges });
            }
          },
          ended: (failure) => {
            if (attempt === this.attempt) {
              this.failed(failure, 'halted');
            }
          },
        },
      ) ?? null;
  }

  private failed(failure: OperationFailed, refusal: 'refused' | 'halted'): void {
    const message = `${failure.message} (${failure.code})`;
    this.dispatch(failure.retryable ? { type: 'lost', reason: message } : { type: refusal, message });
  }

  /** Grows with the failures since the device was last live, and differs, so that devices do not come back at once. */
  private delay(): number {
    const longest = Math.min(GREATEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.failures);
    this.failures += 1;
    return longest * (0.5 + this.world.random() / 2);
  }
}
