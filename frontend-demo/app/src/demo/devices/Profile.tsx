import type { Dataset } from '@syncline/client';
import { usePending, useRecord } from '@syncline/client/react';
import { Field } from '../ui/Field.tsx';
import { Switch } from '../ui/Switch.tsx';
import { profileIn, settingsIn } from './books.ts';
import { Unsent } from './ReadingList.tsx';

const SIZES = ['Small', 'Medium', 'Large'];

/** Edits of different fields never conflict: each is a merge of its own. */
export function Profile({ dataset, device }: { readonly dataset: Dataset; readonly device: string }) {
  const profile = profileIn(useRecord(dataset, 'me'));
  const settings = settingsIn(useRecord(dataset, 'settings'));
  const unsent = usePending(dataset).length > 0;
  return (
    <section aria-label="Profile and settings">
      <h3>
        Profile and settings {unsent ? <Unsent /> : null}
      </h3>
      {/* Before its first sync there is no profile to change. */}
      <fieldset className="form" disabled={!dataset.has('me')}>
        <Field label="Name" value={profile.name} onKeep={(name) => void dataset.merge('me', { name })} />
        <Field label="Motto" value={profile.motto} onKeep={(motto) => void dataset.merge('me', { motto })} />
        <fieldset className="choices">
          <legend className="field-label">Text size</legend>
          {SIZES.map((size) => (
            <label key={size}>
              <input
                type="radio"
                name={`size-${device}`}
                checked={settings.size === size}
                onChange={() => void dataset.merge('settings', { size })}
              />
              {size}
            </label>
          ))}
        </fieldset>
        <Switch label="Weekly summary" on={settings.weekly} onChange={(weekly) => void dataset.merge('settings', { weekly })} />
      </fieldset>
    </section>
  );
}
