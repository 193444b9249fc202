import { keepMine, keepTheirs, type Conflict, type Dataset, type Decision, type Json, type State } from '@syncline/client';
import { useConflicts } from '@syncline/client/react';
import { useEffect, useId, useRef, useState } from 'react';

const shown = (state: State, of: (value: Json) => string): string => ('deleted' in state ? '(nothing)' : of(state.value));

/** Asks about the first conflict of a dataset, as long as there is one: mine, theirs, or a value of one's own. */
export function ConflictDialog(props: {
  readonly device: string;
  readonly dataset: Dataset | undefined;
  /** What a record says of itself. */
  readonly textOf: (value: Json) => string;
  /** The record with another text in it. */
  readonly withText: (conflict: Conflict, text: string) => Json;
}) {
  const { device, dataset, textOf, withText } = props;
  const [conflict] = useConflicts(dataset);
  const dialog = useRef<HTMLDialogElement>(null);
  const [own, setOwn] = useState('');
  const id = useId();
  const asked = conflict && `${conflict.key} ${conflict.version}`;

  useEffect(() => {
    if (asked === undefined) {
      dialog.current?.close();
    } else if (!dialog.current?.open) {
      setOwn('');
      dialog.current?.showModal();
    }
  }, [asked]);

  const decide = (decision: Decision) => {
    if (conflict) {
      void dataset?.resolve(conflict, decision);
    }
  };

  return (
    <dialog ref={dialog} aria-labelledby={id} onCancel={(event) => event.preventDefault()}>
      {conflict === undefined ? null : (
        <>
          <h2 id={id}>{device}: which one stays?</h2>
          <p>This was changed here while it was changed elsewhere, too.</p>
          <dl className="states">
            <dt>Mine</dt>
            <dd>{shown(conflict.mine, textOf)}</dd>
            <dt>Theirs</dt>
            <dd>{shown(conflict.theirs, textOf)}</dd>
            <dt>Before</dt>
            <dd>{shown(conflict.base, textOf)}</dd>
          </dl>
          <div className="decisions">
            <button type="button" className="primary" onClick={() => decide(keepMine)}>
              Keep mine
            </button>
            <button type="button" onClick={() => decide(keepTheirs)}>
              Keep theirs
            </button>
          </div>
          <form
            className="new-item"
            onSubmit={(event) => {
              event.preventDefault();
              if (own.trim() !== '') {
                decide({ value: withText(conflict, own.trim()) });
              }
            }}
          >
            <input
              type="text"
              aria-label="Own value"
              placeholder="Or something else"
              maxLength={200}
              autoComplete="off"
              value={own}
              onChange={(event) => setOwn(event.currentTarget.value)}
            />
            <button type="submit">Use this</button>
          </form>
        </>
      )}
    </dialog>
  );
}
