import { useDataset, useStatus } from '@syncline/client/react';
import { useEffect, useState } from 'react';
import { ANA, deviceOf, type Device } from '../identities.ts';
import { beginProfile, PROFILE, profileIn } from './books.ts';
import { DeviceFrame } from './DeviceFrame.tsx';

const NICKNAMES = ['Ana the Swift', 'Captain Ana', 'Ana of the Night Train', 'Professor Ana', 'Ana Unlimited'];
const pick = (...but: readonly string[]): string => {
  const others = NICKNAMES.filter((name) => !but.includes(name));
  return others[Math.floor(Math.random() * others.length)]!;
};

/** Both devices change the same field while neither can see the other; the second to come back is asked. */
async function makeConflict(phone: Device, laptop: Device): Promise<void> {
  const [onPhone, onLaptop] = await Promise.all([phone, laptop].map(({ client }) => client.dataset(PROFILE)));
  [phone, laptop].forEach(({ client }) => client.connect());
  await beginProfile(onPhone!);
  await onPhone!.synchronize();
  await onLaptop!.synchronize();
  [phone, laptop].forEach(({ client }) => client.disconnect());
  // What changes nothing is no conflict.
  const before = profileIn(onPhone!.get('me')).name;
  const name = pick(before);
  await onPhone!.merge('me', { name });
  await onLaptop!.merge('me', { name: pick(before, name) });
  phone.client.connect();
  await onPhone!.synchronize();
  laptop.client.connect();
}

export function DevicesView() {
  const [phone, laptop] = [deviceOf(ANA, 'Phone'), deviceOf(ANA, 'Laptop')];
  const [trouble, setTrouble] = useState<string>();
  const profile = useDataset(phone.client, PROFILE);
  const { state } = useStatus(profile);

  useEffect(() => {
    // One of the devices makes it, once it knows that there is none.
    if (profile && state === 'live') {
      beginProfile(profile).catch(() => undefined); // It goes on when it is live again.
    }
  }, [profile, state]);

  return (
    <>
      <div className="intro">
        <p>
          Two devices of one person. Each keeps its own copy, works offline, and gets what the other does. Switch one
          offline, edit on both, and switch it on again.
        </p>
        <button
          type="button"
          onClick={() => {
            setTrouble(undefined);
            makeConflict(phone, laptop).catch((error: unknown) => setTrouble(error instanceof Error ? error.message : String(error)));
          }}
        >
          Make a conflict
        </button>
      </div>
      {trouble === undefined ? null : <p role="alert">{trouble}</p>}
      <div className="side-by-side">
        <DeviceFrame device={phone} />
        <DeviceFrame device={laptop} />
      </div>
    </>
  );
}
