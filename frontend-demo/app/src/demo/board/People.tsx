import type { Dataset, Json } from '@syncline/client';
import { usePresence } from '@syncline/client/react';
import { nameOf } from '../identities.ts';

const editing = (state: Json): string | undefined =>
  typeof state === 'object' && state !== null && 'editing' in state && typeof state.editing === 'string'
    ? state.editing
    : undefined;

/** Who is here, and what they are at. This device is here, too, and says at which card it is. */
export function People({ dataset, at, textOf }: { readonly dataset: Dataset; readonly at: string | null; readonly textOf: (key: string) => string }) {
  const { everyone } = usePresence(dataset, { editing: at });
  return (
    <ul className="people" aria-label="Who is here">
      {everyone.map(({ identityId, deviceId, state }) => {
        const key = editing(state);
        return (
          <li key={`${identityId} ${deviceId}`} className={key === undefined ? 'person' : 'person busy'}>
            <span className={`avatar hue-${hueOf(identityId)}`} aria-hidden="true">
              {identityId.charAt(0).toUpperCase()}
            </span>
            <span>
              {nameOf(identityId)}
              {key === undefined ? null : <span className="soft"> is editing “{textOf(key)}”</span>}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

const HUES = 6;

const hueOf = (identity: string): number => [...identity].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % HUES;
