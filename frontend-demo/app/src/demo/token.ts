/** The demo's tokens. Only a server in dev mode hands them out. */

export class DemoUnavailable extends Error {}

export async function fetchToken(device: string): Promise<string> {
  const response = await fetch('/demo/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ device }),
  }).catch(() => {
    throw new Error('the server cannot be reached');
  });
  if (response.status === 404) {
    throw new DemoUnavailable('This demo needs a server in dev mode: start it with “syncline serve --dev”.');
  }
  if (!response.ok) {
    throw new Error(`no token: the server answered ${response.status}`);
  }
  return ((await response.json()) as { token: string }).token;
}
