/** Five clients and a real server: all converge, no edit that was acknowledged is lost, and none is doubled. */

import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { chance } from './support/chance.ts';
import { closeAll } from './support/clients.ts';
import { crowd } from './support/crowd.ts';
import { RUNS } from './support/runs.ts';
import { Server } from './support/server.ts';

const AT_A_TIME = 10;
const STEPS = 60;
const KILLED_EVERY_MILLISECONDS = 8_000;

let server: Server;
before(async () => {
  server = await Server.start();
});
after(async () => {
  await closeAll();
  await server.dispose();
});

test('whatever happens to five clients, nothing is lost or doubled', async () => {
  const first = Number(process.env['SYNCLINE_SEED'] ?? Date.now() % 1_000_000);
  const failures: string[] = [];
  let next = 0;
  let running = true;
  const kills = (async () => {
    while (running) {
      await pause(KILLED_EVERY_MILLISECONDS);
      await server.restart();
    }
  })();
  const one = async (): Promise<void> => {
    while (next < RUNS.proof && failures.length === 0) {
      const seed = first + next++;
      await crowd(server, chance(seed), STEPS).catch((error: Error) => failures.push(`SYNCLINE_SEED=${seed}: ${error.stack}`));
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, one));
  running = false;
  await kills;
  if (failures.length) {
    throw new Error(failures.join('\n\n'));
  }
});
