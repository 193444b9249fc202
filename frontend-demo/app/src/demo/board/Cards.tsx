import type { Dataset } from '@syncline/client';
import { useEntries, useParked, usePending } from '@syncline/client/react';
import { Unsent } from '../devices/ReadingList.tsx';
import { Field } from '../ui/Field.tsx';
import { NewItem } from '../ui/NewItem.tsx';
import { addCard, cardsIn } from './cards.ts';

export function Cards(props: {
  readonly dataset: Dataset;
  readonly mayEdit: boolean;
  readonly onTyping: (key: string | null) => void;
}) {
  const { dataset, mayEdit, onTyping } = props;
  const cards = cardsIn(useEntries(dataset));
  const waiting = new Set(usePending(dataset).map(({ key }) => key));
  return (
    <>
      <ul className="items">
        {cards.map(({ key, text, done }) => (
          <li className={done ? 'item done' : 'item'} key={key}>
            <input
              type="checkbox"
              aria-label={`Done: ${text}`}
              checked={done}
              disabled={!mayEdit}
              onChange={() => void dataset.merge(key, { done: !done })}
            />
            <Field
              label={`Text of ${text}`}
              hidesLabel
              value={text}
              disabled={!mayEdit}
              onTyping={(typing) => onTyping(typing ? key : null)}
              onKeep={(next) => void dataset.merge(key, { text: next })}
            />
            {waiting.has(key) ? <Unsent /> : null}
            <button type="button" className="quiet" aria-label={`Remove ${text}`} disabled={!mayEdit} onClick={() => void dataset.remove(key)}>
              ×
            </button>
          </li>
        ))}
      </ul>
      {cards.length === 0 ? <p className="empty">Nothing on the board yet.</p> : null}
      <NewItem label="New card" disabled={!mayEdit} onAdd={(text) => addCard(dataset, text)} />
      <Refused dataset={dataset} />
    </>
  );
}

/** What the server refused comes back to who made it, with the reason. */
function Refused({ dataset }: { readonly dataset: Dataset }) {
  const parked = useParked(dataset);
  if (parked.length === 0) {
    return null;
  }
  return (
    <div className="refused" role="alert">
      <p>
        The server refused {parked.length === 1 ? 'an edit' : `${parked.length} edits`}: {parked[0]!.code}. Nothing is lost.
      </p>
      <button type="button" onClick={() => parked.forEach((edit) => void dataset.retry(edit))}>
        Try again
      </button>
      <button type="button" onClick={() => parked.forEach((edit) => void dataset.discard(edit))}>
        Give up
      </button>
    </div>
  );
}
