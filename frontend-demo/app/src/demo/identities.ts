/** Who the page can be, and how it gets tokens for them. Only a server in dev mode hands these out. */

import { createClient, indexedDb, type Client, type Trace } from '@syncline/client';
import { useSyncExternalStore } from 'react';
import { recordTrace } from './activity.ts';

let refused = false;
const listeners = new Set<() => void>();

/** Whether the server hands out no tokens. */
export const useNoTokens = (): boolean =>
  useSyncExternalStore(
    (changed) => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    () => refused,
  );

async function tokenFor(identity: string, device: string): Promise<string> {
  const response = await fetch('/demo/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ identity, device }),
  });
  refused = response.status === 404;
  listeners.forEach((listener) => listener());
  if (!response.ok) {
    throw new Error(`the server answered ${response.status}`);
  }
  return ((await response.json()) as { token: string }).token;
}

/** A simulated device: a client of its own with a store of its own. */
export interface Device {
  readonly label: string;
  readonly identity: string;
  readonly client: Client;
}

const devices = new Map<string, Device>();

/** The one of this label and identity; it is opened when it is first asked for. */
export function deviceOf(identity: string, label: string): Device {
  const name = `syncline-demo ${identity} ${label}`;
  let device = devices.get(name);
  if (device === undefined) {
    const client = createClient({
      url: '/graphql',
      auth: ({ deviceId }) => tokenFor(identity, deviceId),
      storage: indexedDb(name),
      onTrace: (trace: Trace) => recordTrace(label, trace),
    });
    device = { label, identity, client };
    devices.set(name, device);
  }
  return device;
}

export const ANA = 'ana';
export const BEN = 'ben';

const VISITOR = 'syncline-demo-visitor';

/** Who came by an invitation link: somebody of this browser's own. */
export function visitor(): string {
  const known = localStorage.getItem(VISITOR);
  const name = known ?? `guest-${crypto.randomUUID().slice(0, 4)}`;
  localStorage.setItem(VISITOR, name);
  return name;
}

export const nameOf = (identity: string): string => identity.charAt(0).toUpperCase() + identity.slice(1);
