import { useState } from 'react';
import { ANA, BEN, deviceOf, visitor } from '../identities.ts';
import { BoardPane } from './BoardPane.tsx';
import { BOARD } from './cards.ts';
import { Guest } from './Guest.tsx';
import { Members } from './Members.tsx';

/** Ana's board, and what Ben sees of it. */
export function BoardView() {
  const [ana, ben] = [deviceOf(ANA, 'Laptop'), deviceOf(BEN, 'Tablet')];
  const [code, setCode] = useState<string>();
  return (
    <>
      <div className="intro">
        <p>
          A list that several people edit. Ana owns it: she invites, gives roles, and can end somebody’s access while they
          look on.
        </p>
      </div>
      <div className="side-by-side">
        <BoardPane device={ana} board={BOARD} without={() => <p className="soft">Opening …</p>}>
          {(dataset) => <Members dataset={dataset} me={ANA} onInvited={setCode} />}
        </BoardPane>
        <Guest device={ben} offered={code} />
      </div>
    </>
  );
}

/** For who came by an invitation link. */
export function VisitorView({ code }: { readonly code: string }) {
  const device = deviceOf(visitor(), 'Visitor');
  return (
    <>
      <div className="intro">
        <p>You came by an invitation. What you do here, everybody on the board sees at once.</p>
      </div>
      <div className="alone">
        <Guest device={device} offered={code} joinsAtOnce />
      </div>
    </>
  );
}
