import { useRole, useStatus } from '@syncline/client/react';
import { useState, type ReactNode } from 'react';
import { nameOf, type Device } from '../identities.ts';
import { ConflictDialog } from '../ui/ConflictDialog.tsx';
import { OnlineSwitch } from '../ui/OnlineSwitch.tsx';
import { Status } from '../ui/Status.tsx';
import { useFollowed } from '../ui/useFollowed.ts';
import { BOARD, cardText } from './cards.ts';
import { Cards } from './Cards.tsx';
import { People } from './People.tsx';

const WORDS = { OWNER: 'Owner', EDITOR: 'Editor', VIEWER: 'Viewer' } as const;

/** The board as one identity sees it. `children`: what only this one has below it. */
export function BoardPane(props: {
  readonly device: Device;
  readonly board: string | { readonly id: string } | undefined;
  /** Instead of the board while there is none, or it is not shared any more. */
  readonly without: (ended: boolean) => ReactNode;
  readonly children?: (dataset: NonNullable<ReturnType<typeof useFollowed>>) => ReactNode;
}) {
  const { device, board, without, children } = props;
  const { client, identity, label } = device;
  const dataset = useFollowed(client, label, board, BOARD);
  const { reason } = useStatus(dataset);
  const [at, setAt] = useState<string | null>(null);
  const ended = reason?.code === 'ACCESS_ENDED' || reason?.code === 'DATASET_NOT_FOUND';
  const role = useRole(dataset) ?? (typeof board === 'string' ? 'OWNER' : undefined);
  return (
    <section className="device" aria-label={`${nameOf(identity)}’s board`}>
      <header>
        <h2>{nameOf(identity)}</h2>
        <Status of={dataset ?? client} />
        <span className="role soft">{dataset && role && !ended ? WORDS[role] : ''}</span>
        <OnlineSwitch client={client} />
      </header>
      {dataset === undefined || ended ? (
        without(ended)
      ) : (
        <>
          <People dataset={dataset} at={at} textOf={(key) => cardText(dataset.get(key) ?? { text: 'a card' })} />
          <Cards dataset={dataset} mayEdit={role !== 'VIEWER'} onTyping={setAt} />
          {children?.(dataset)}
          <ConflictDialog device={nameOf(identity)} dataset={dataset} />
        </>
      )}
    </section>
  );
}
