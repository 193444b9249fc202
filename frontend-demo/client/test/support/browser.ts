/** What the tests in a browser need of the client, as a global of the page. */

import { createClient } from '../../src/client.ts';
import { indexedDb } from '../../src/indexeddb.ts';
import { CONTRACT } from './store.contract.ts';

const keeps = (name: string): Promise<void> => CONTRACT[name]!(indexedDb(name));

Object.assign(globalThis, { syncline: { createClient, indexedDb, keeps } });
