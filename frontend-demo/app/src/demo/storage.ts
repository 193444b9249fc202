/** What a device keeps in the browser: its replica, and everything that the server has not acknowledged. */

import { NEW_DEVICE, type Device } from './device.ts';

type Kept = Pick<Device, 'online' | 'replica' | 'outbox' | 'push' | 'conflicts'>;

/** Named for the format of what is kept; another format gets another name. */
const PREFIX = 'syncline-demo:1:';

export function load(name: string, storage: Storage): Device {
  try {
    const text = storage.getItem(PREFIX + name);
    return text === null ? NEW_DEVICE : { ...NEW_DEVICE, ...(JSON.parse(text) as Kept) };
  } catch {
    return NEW_DEVICE;
  }
}

export function save(name: string, storage: Storage, device: Device): void {
  const { online, replica, outbox, push, conflicts } = device;
  const kept: Kept = { online, replica, outbox, push, conflicts };
  try {
    storage.setItem(PREFIX + name, JSON.stringify(kept));
  } catch {
    // Private windows may refuse. Then the device lives as long as the page.
  }
}
