import { useActivity } from '../activity.ts';
import type { Device } from '../identities.ts';
import { ConflictDialog } from '../ui/ConflictDialog.tsx';
import { Status } from '../ui/Status.tsx';
import { OnlineSwitch } from '../ui/OnlineSwitch.tsx';
import { useFollowed } from '../ui/useFollowed.ts';
import { PROFILE, READING } from './books.ts';
import { Profile } from './Profile.tsx';
import { ReadingList } from './ReadingList.tsx';

/** A device of Ana's, with its own store and its own way to the server. */
export function DeviceFrame({ device }: { readonly device: Device }) {
  const { label, client } = device;
  const reading = useFollowed(client, label, READING, READING);
  const profile = useFollowed(client, label, PROFILE, PROFILE);
  const last = useActivity().deliveries.findLast((delivery) => delivery.device === label);

  return (
    <section className="device" aria-label={label}>
      <header>
        <h2>{label}</h2>
        <Status of={client} />
        <span className="latency soft numbers">
          {last === undefined ? null : <span key={last.id}>{Math.max(1, Math.round(last.milliseconds))} ms</span>}
        </span>
        <OnlineSwitch client={client} />
      </header>
      {reading && profile ? (
        <>
          <ReadingList dataset={reading} />
          <Profile dataset={profile} device={label} />
          <ConflictDialog device={label} dataset={profile} />
          <ConflictDialog device={label} dataset={reading} />
        </>
      ) : (
        <p className="soft">Opening …</p>
      )}
    </section>
  );
}
