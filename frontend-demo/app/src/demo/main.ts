import './page.css';

import type { Change } from './changes.ts';
import { DeviceView } from './device-view.ts';
import { part } from './dom.ts';
import { COUNTER_KEY, itemKey } from './list.ts';
import { inOneTab } from './one-tab.ts';
import { Session } from './session.ts';
import { load, save } from './storage.ts';
import { fetchToken } from './token.ts';
import { linksTo } from './transport.ts';

const EXAMPLES = ['Tent', 'Sleeping bags', 'Torch', 'Map', 'Chocolate'];

function randomId(): string {
  // Not randomUUID, which browsers keep from pages that are not served over HTTPS.
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A device of the page: its session with the server, and its view. */
function deviceIn(container: HTMLElement, name: string, title: string): { session: Session; add(text: string): void } {
  const session: Session = new Session(load(name, localStorage), {
    fetchToken: () => fetchToken(name),
    connect: linksTo('/graphql'),
    newId: () => `${name}-${randomId()}`,
    random: Math.random,
    changed: (device) => {
      save(name, localStorage, device);
      view.render(device);
    },
  });
  const change = (change: Change) => session.dispatch({ type: 'changed', change });
  let lastTime = 0;
  const add = (text: string) => {
    lastTime = Math.max(Date.now(), lastTime + 1);
    change({ kind: 'put', key: itemKey(lastTime, randomId()), value: { text, done: false }, seen: null });
  };
  const view = new DeviceView(title, {
    add,
    setOnline: (online) => session.dispatch({ type: 'switched', online }),
    edit: (key, patch, seen) => change({ kind: 'merge', key, patch, seen }),
    remove: (key, seen) => change({ kind: 'remove', key, seen }),
    increment: (by) => change({ kind: 'increment', key: COUNTER_KEY, by }),
    choose: (key, keep) => session.dispatch({ type: 'chosen', key, keep }),
  });
  view.render(session.device);
  container.append(view.element);
  return { session, add };
}

function start(): void {
  const container = part(document, '#devices');
  const phone = deviceIn(container, 'phone', 'Phone');
  const laptop = deviceIn(container, 'laptop', 'Laptop');
  const sessions = [phone.session, laptop.session];
  const switchAll = (online: boolean) =>
    sessions
      .filter((session) => session.device.online !== online)
      .forEach((session) => session.dispatch({ type: 'switched', online }));

  part(document, '#examples').addEventListener('click', () => EXAMPLES.forEach(phone.add));
  part(document, '#all-offline').addEventListener('click', () => switchAll(false));
  part(document, '#all-online').addEventListener('click', () => switchAll(true));
  part(document, '#start-over').addEventListener('click', async () => {
    const asked = (await phone.session.deleteDataset()) || (await laptop.session.deleteDataset());
    part(document, '#notice').textContent = asked ? '' : 'Starting over needs a device that is online.';
  });
  sessions.forEach((session) => session.start());
}

inOneTab('syncline-demo', start, (waiting) => {
  part(document, '#notice').textContent = waiting
    ? 'This demo is open in another tab. It goes on here when that one is closed.'
    : '';
});
