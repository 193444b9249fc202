import { keepMine, keepTheirs, type Dataset, type Decision } from '@syncline/client';
import { useConflicts } from '@syncline/client/react';
import { useEffect, useId, useRef, useState } from 'react';
import { differing, inWords, textField, withText } from './difference.ts';
import { NewItem } from './NewItem.tsx';

/**
 * Asks about the first conflict of a dataset, as long as there is one: mine, theirs, or a text of one's own. Whoever
 * closes it decides later, and finds it again where it stands.
 */
export function ConflictDialog({ device, dataset }: { readonly device: string; readonly dataset: Dataset }) {
  const conflicts = useConflicts(dataset);
  const [conflict] = conflicts;
  const dialog = useRef<HTMLDialogElement>(null);
  const [later, setLater] = useState<string>();
  const id = useId();
  const asked = conflict && `${conflict.key} ${conflict.version}`;
  const open = asked !== undefined && asked !== later;

  useEffect(() => {
    if (!open) {
      dialog.current?.close();
    } else if (!dialog.current?.open) {
      dialog.current?.showModal();
    }
  }, [open]);

  const decide = (decision: Decision) => {
    if (conflict) {
      void dataset.resolve(conflict, decision);
    }
  };

  const fields = conflict ? differing(conflict) : [];
  const field = conflict && textField(conflict, fields);
  return (
    <>
      {conflict && !open ? (
        <p className="postponed">
          {conflicts.length === 1 ? 'A conflict waits' : `${conflicts.length} conflicts wait`} for you.{' '}
          <button type="button" onClick={() => setLater(undefined)}>
            Decide
          </button>
        </p>
      ) : null}
      <dialog ref={dialog} aria-labelledby={id} onClose={() => setLater(asked)}>
        {conflict === undefined ? null : (
          <>
            <h2 id={id}>{device}: which one stays?</h2>
            <p>This was changed here while it was changed elsewhere, too.</p>
            <dl className="states">
              <dt>Mine</dt>
              <dd>{inWords(conflict.mine, fields)}</dd>
              <dt>Theirs</dt>
              <dd>{inWords(conflict.theirs, fields)}</dd>
              <dt>Before</dt>
              <dd>{inWords(conflict.base, fields)}</dd>
            </dl>
            <div className="decisions">
              <button type="button" className="primary" onClick={() => decide(keepMine)}>
                Keep mine
              </button>
              <button type="button" onClick={() => decide(keepTheirs)}>
                Keep theirs
              </button>
              <button type="button" className="link" onClick={() => setLater(asked)}>
                Decide later
              </button>
            </div>
            {field === undefined ? null : (
              <NewItem
                key={asked}
                label="Own value"
                placeholder="Or something else"
                action="Use this"
                onAdd={(text) => decide({ value: withText(conflict, field, text) })}
              />
            )}
          </>
        )}
      </dialog>
    </>
  );
}
