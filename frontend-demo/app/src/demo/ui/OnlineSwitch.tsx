import type { Client } from '@syncline/client';
import { useStatus } from '@syncline/client/react';
import { useReducer } from 'react';
import { Switch } from './Switch.tsx';

/** Takes a device offline, and back. */
export function OnlineSwitch({ client }: { readonly client: Client }) {
  useStatus(client);
  // It says what is wanted at once, before there is anything of it in the status.
  const [, showWanted] = useReducer((times: number) => times + 1, 0);
  return (
    <Switch
      label="Online"
      on={client.online}
      onChange={(online) => {
        if (online) {
          client.connect();
        } else {
          client.disconnect();
        }
        showWanted();
      }}
    />
  );
}
