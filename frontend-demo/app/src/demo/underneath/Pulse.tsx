import type { Dataset } from '@syncline/client';
import { useState } from 'react';
import { ANA, deviceOf } from '../identities.ts';
import { useFollowed } from '../ui/useFollowed.ts';

const PULSE = 'pulse';
const EDITS = 20;
const SPACING_MS = 100;

async function beat(dataset: Dataset): Promise<void> {
  for (let edit = 0; edit < EDITS; edit++) {
    await dataset.increment('count');
    await new Promise((resolve) => setTimeout(resolve, SPACING_MS));
  }
}

/** Something to measure: edits on the phone, which arrive on the laptop. */
export function Pulse() {
  const phone = useFollowed(deviceOf(ANA, 'Phone').client, 'Phone', PULSE, PULSE);
  useFollowed(deviceOf(ANA, 'Laptop').client, 'Laptop', PULSE, PULSE);
  const [beats, setBeats] = useState(false);
  return (
    <button
      type="button"
      disabled={phone === undefined || beats}
      onClick={() => {
        setBeats(true);
        void beat(phone!).finally(() => setBeats(false));
      }}
    >
      Send {EDITS} edits
    </button>
  );
}
