/** Who is on a dataset right now. Told at most once, and never kept. */

import { sleep } from './context.ts';
import { jsonCopy, type Json } from './json.ts';
import type { Link, LinkStatus } from './link.ts';
import { Told } from './listeners.ts';
import type { DatasetRef } from './protocol.ts';

/** A device that is on the dataset, since when, and what it says of itself. */
export interface Present {
  readonly identityId: string;
  readonly deviceId: string | null;
  readonly state: Json;
  readonly since: string;
}

interface PresenceData {
  readonly presence:
    | { readonly __typename: 'PresenceList'; readonly present: readonly Present[] }
    | {
        readonly __typename: 'PresenceChanges';
        readonly joined: readonly Present[];
        readonly updated: readonly Present[];
        readonly left: readonly Present[];
      }
    | { readonly __typename: 'DatasetDeleted' | 'AccessEnded' };
}

const query = (variable: string, argument: string): string => `subscription Presence($dataset:DatasetRef!${variable}){presence(dataset:$dataset${argument}){__typename
...on PresenceList{present{...P}}...on PresenceChanges{joined{...P}updated{...P}left{...P}}}}fragment P on Present{identityId deviceId state since}`;
const WATCH = query('', '');
const BE_THERE = query(',$state:JSON', ',state:$state');
const SET = 'mutation SetPresence($dataset:DatasetRef!,$state:JSON){setPresence(dataset:$dataset,state:$state){since}}';

/** The server takes 20 states a second. */
const SPACING_MS = 60;
const RETRY_MS = 2_000;

const idOf = ({ identityId, deviceId }: Present): string => JSON.stringify([identityId, deviceId]);

export class Presence {
  readonly #link: Link;
  readonly #dataset: DatasetRef;
  readonly #everyone = new Told<readonly Present[]>([]);
  readonly #stop: () => void;
  #state: Json | undefined;
  #sending = false;
  #changed = false;
  #unsubscribe: (() => void) | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(link: Link, dataset: DatasetRef, state: Json | undefined) {
    this.#link = link;
    this.#dataset = dataset;
    this.#state = state === undefined ? undefined : jsonCopy(state, 'state');
    this.#stop = link.listen((status) => this.#linked(status));
    this.#linked(link.status);
    if (link.status.state !== 'live') {
      link.wake();
    }
  }

  /** All who are here. */
  everyone(): readonly Present[] {
    return this.#everyone.value;
  }

  /** Be told whenever that changes. */
  subscribe(listener: (everyone: readonly Present[]) => void): () => void {
    return this.#everyone.listen(listener);
  }

  /** Say something else of this device. Of states that change fast, the latest is told. */
  set(state: Json): void {
    const watchedOnly = this.#state === undefined;
    this.#state = jsonCopy(state, 'state');
    if (watchedOnly) {
      this.#linked(this.#link.status);
      return;
    }
    this.#changed = true;
    if (!this.#sending) {
      void this.#send();
    }
  }

  /** Be here no longer. */
  close(): void {
    this.#closed = true;
    this.#stop();
    this.#leave();
  }

  #leave(): void {
    clearTimeout(this.#retry);
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    if (this.#everyone.value.length > 0) {
      this.#everyone.set([]);
    }
  }

  #linked({ state }: LinkStatus): void {
    this.#leave();
    if (state !== 'live') {
      return;
    }
    const dataset = this.#dataset;
    const there = this.#state !== undefined;
    this.#unsubscribe = this.#link.subscribe<PresenceData>(
      there ? BE_THERE : WATCH,
      there ? { dataset, state: this.#state } : { dataset },
      {
        next: ({ presence }) => this.#heard(presence),
        ended: ({ retryable }) => {
          this.#leave();
          if (retryable && !this.#closed) {
            this.#retry = setTimeout(() => this.#linked(this.#link.status), RETRY_MS);
          }
        },
      },
    );
  }

  #heard(event: PresenceData['presence']): void {
    if (event.__typename === 'PresenceList') {
      this.#everyone.set(event.present);
    } else if (event.__typename === 'PresenceChanges') {
      const known = new Map(this.#everyone.value.map((present) => [idOf(present), present]));
      event.left.forEach((present) => known.delete(idOf(present)));
      [...event.joined, ...event.updated].forEach((present) => known.set(idOf(present), present));
      this.#everyone.set([...known.values()]);
    } else {
      this.#everyone.set([]);
    }
  }

  async #send(): Promise<void> {
    this.#sending = true;
    while (this.#changed && !this.#closed) {
      this.#changed = false;
      await this.#link.request(SET, { dataset: this.#dataset, state: this.#state }).catch(({ retryable, code }) => {
        // Who is not told because the connection is lost is told with the next one.
        this.#changed ||= retryable && code !== 'OFFLINE';
      });
      await sleep(SPACING_MS);
    }
    this.#sending = false;
  }
}
