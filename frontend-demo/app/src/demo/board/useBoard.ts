import { SynclineError, type Client } from '@syncline/client';
import { useStatus } from '@syncline/client/react';
import { useCallback, useEffect, useState } from 'react';
import { BOARD } from './cards.ts';

export interface SharedBoard {
  /** None: nobody shares it with this identity, as far as is known. */
  readonly ref: { readonly id: string } | undefined;
  /** Another number each time that it has to be opened anew. */
  readonly opening: number;
  readonly looked: boolean;
  readonly trouble: string | undefined;
  readonly join: (code: string) => Promise<void>;
}

/** The board that somebody shares with this client's identity. It remembers in this browser which one that is. */
export function useSharedBoard(client: Client, identity: string): SharedBoard {
  const kept = `syncline-demo-board ${identity}`;
  const [id, setId] = useState(localStorage.getItem(kept) ?? undefined);
  const [opening, setOpening] = useState(0);
  const [looked, setLooked] = useState(id !== undefined);
  const [trouble, setTrouble] = useState<string>();
  const { state } = useStatus(client);

  const keep = useCallback(
    (found: string | undefined) => {
      setId(found);
      if (found === undefined) {
        localStorage.removeItem(kept);
      } else {
        localStorage.setItem(kept, found);
      }
    },
    [kept],
  );

  useEffect(() => {
    if (state === 'live') {
      client.datasets('SHARED').then(
        (shared) => {
          setLooked(true);
          keep(shared.find(({ name }) => name === BOARD)?.id);
        },
        () => undefined,
      );
    }
  }, [client, keep, state === 'live']);

  const join = useCallback(
    async (code: string) => {
      setTrouble(undefined);
      try {
        const joined = await client.acceptInvitation(code);
        // What was open of it may have ended with an earlier access.
        (await client.dataset({ id: joined.id })).close();
        setOpening((before) => before + 1);
        keep(joined.id);
        setLooked(true);
      } catch (error) {
        setTrouble(error instanceof SynclineError ? error.message : String(error));
      }
    },
    [client, keep],
  );

  return { ref: id === undefined ? undefined : { id }, opening, looked, trouble, join };
}
