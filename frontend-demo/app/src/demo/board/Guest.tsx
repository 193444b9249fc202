import { useEffect, useRef, useState } from 'react';
import type { Device } from '../identities.ts';
import { BoardPane } from './BoardPane.tsx';
import { useSharedBoard } from './useBoard.ts';

/** Somebody whom the owner has invited, or may. `offered`: an invitation that came to hand. */
export function Guest(props: { readonly device: Device; readonly offered: string | undefined; readonly joinsAtOnce?: boolean }) {
  const { device, offered, joinsAtOnce = false } = props;
  const { ref, opening, looked, trouble, join } = useSharedBoard(device.client, device.identity);
  const [code, setCode] = useState('');
  const joined = useRef<string>(undefined);

  useEffect(() => {
    if (joinsAtOnce && offered !== undefined && joined.current !== offered) {
      joined.current = offered;
      void join(offered);
    }
  }, [joinsAtOnce, offered, join]);

  return (
    <BoardPane
      key={opening}
      device={device}
      board={ref}
      without={(ended) => (
        <div className="without">
          <p>{ended ? 'The board is not shared with you any more.' : looked ? 'Nobody has invited you yet.' : 'Looking …'}</p>
          <form
            className="new-item"
            onSubmit={(event) => {
              event.preventDefault();
              void join(code.trim() || (offered ?? ''));
              setCode('');
            }}
          >
            <input
              type="text"
              aria-label="Invitation code"
              placeholder={offered ?? 'Invitation code'}
              autoComplete="off"
              value={code}
              onChange={(event) => setCode(event.currentTarget.value)}
            />
            <button type="submit" disabled={code.trim() === '' && offered === undefined}>
              Accept invitation
            </button>
          </form>
          {trouble === undefined ? null : <p role="alert">{trouble}</p>}
        </div>
      )}
    />
  );
}
