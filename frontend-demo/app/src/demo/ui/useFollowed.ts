import type { Client, Dataset, DatasetOptions } from '@syncline/client';
import { useDataset } from '@syncline/client/react';
import { useEffect } from 'react';
import { recordChange } from '../activity.ts';

/** A dataset whose changes are timed. `shared`: what it is called where several identities see it. */
export function useFollowed(
  client: Client,
  device: string,
  ref: string | { readonly id: string } | undefined,
  shared: string,
  options?: DatasetOptions,
): Dataset | undefined {
  const dataset = useDataset(client, ref, options);
  useEffect(() => {
    let liveSince = Infinity;
    const look = () => {
      const live = dataset?.status().state === 'live';
      liveSince = live ? Math.min(liveSince, performance.now()) : Infinity;
    };
    look();
    return dataset?.subscribe((event) => {
      look();
      recordChange(device, shared, liveSince, event);
    });
  }, [dataset, device, shared]);
  return dataset;
}
