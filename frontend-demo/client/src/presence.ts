/** Who is on a dataset right now. Told at most once, and never kept. */

import { jsonCopy, type Json } from './json.ts';
import { request, type Link } from './link.ts';
import { told } from './listeners.ts';
import type { DatasetRef } from './protocol.ts';
import { sleep } from './waiting.ts';

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

export interface Presence {
  /** All who are here. */
  everyone(): readonly Present[];
  /** Be told whenever that changes. */
  subscribe(listener: (everyone: readonly Present[]) => void): () => void;
  /** Say something else of this device. Of states that change fast, the latest is told. */
  set(state: Json): void;
  /** Be here no longer. */
  close(): void;
}

/** With a state this device is present, too. */
export function openPresence(link: Link, dataset: DatasetRef, said: Json | undefined): Presence {
  const everyone = told<readonly Present[]>([]);
  let state = said === undefined ? undefined : jsonCopy(said, 'state');
  let sending = false;
  let changed = false;
  let closed = false;
  let unsubscribe: (() => void) | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;

  function leave(): void {
    clearTimeout(again);
    unsubscribe?.();
    unsubscribe = undefined;
    if (everyone.value.length) {
      everyone.set([]);
    }
  }

  function enter(): void {
    leave();
    if (link.status.value.state !== 'live') {
      return;
    }
    const there = state !== undefined;
    unsubscribe = link.subscribe<PresenceData>(there ? BE_THERE : WATCH, there ? { dataset, state } : { dataset }, {
      next: ({ presence }) => heard(presence),
      ended: ({ retryable }, lost) => {
        if (!lost) {
          leave();
          again = retryable ? setTimeout(enter, RETRY_MS) : undefined;
        }
      },
    });
  }

  function heard(event: PresenceData['presence']): void {
    if (event.__typename === 'PresenceChanges') {
      const known = new Map(everyone.value.map((present) => [idOf(present), present]));
      event.left.forEach((present) => known.delete(idOf(present)));
      [...event.joined, ...event.updated].forEach((present) => known.set(idOf(present), present));
      everyone.set([...known.values()]);
    } else {
      everyone.set(event.__typename === 'PresenceList' ? event.present : []);
    }
  }

  async function send(): Promise<void> {
    sending = true;
    while (changed && !closed) {
      changed = false;
      await request(link, SET, { dataset, state }).catch(({ retryable, code }) => {
        // Who is not told because the connection is lost is told with the next one.
        changed ||= retryable && code !== 'OFFLINE';
      });
      await sleep(SPACING_MS);
    }
    sending = false;
  }

  const stop = link.status.listen(enter);
  enter();
  if (!unsubscribe) {
    link.wake();
  }
  return {
    everyone: () => everyone.value,
    subscribe: everyone.listen,
    set(next) {
      const watchedOnly = state === undefined;
      state = jsonCopy(next, 'state');
      changed = true;
      if (watchedOnly) {
        enter();
      } else if (!sending) {
        void send();
      }
    },
    close() {
      closed = true;
      stop();
      leave();
    },
  };
}
