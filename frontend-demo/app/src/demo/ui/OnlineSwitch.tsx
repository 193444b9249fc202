import type { Client } from '@syncline/client';
import { useStatus } from '@syncline/client/react';
import { Switch } from './Switch.tsx';

/** Takes a device offline, and back. */
export function OnlineSwitch({ client }: { readonly client: Client }) {
  useStatus(client);
  return (
    <Switch label="Online" on={client.online} onChange={(online) => (online ? client.connect() : client.disconnect())} />
  );
}
