import type { Client, Dataset } from '@syncline/client';
import { useStatus } from '@syncline/client/react';

const WORDS = {
  offline: 'Offline',
  connecting: 'Connecting',
  'catching up': 'Catching up',
  live: 'Live',
  stopped: 'Stopped',
} as const;

/** In words, and in a colour. */
export function Status({ of }: { readonly of: Client | Dataset | undefined }) {
  const { state, reason } = useStatus(of);
  const why = state === 'stopped' || reason?.code === 'AUTH_FAILED' ? reason?.message : undefined;
  return (
    <span className={`status status-${state.replace(' ', '-')}`} role="status" title={why}>
      {WORDS[state]}
      {why === undefined ? null : <span className="why">: {why}</span>}
    </span>
  );
}
