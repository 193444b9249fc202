/** The product's own server as a process of its own: started, killed, started again on the same port and folder. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Where the repository is: the first folder above this file with the Python project in it. */
export const REPOSITORY = above(dirname(fileURLToPath(import.meta.url)));

const PATIENCE_MILLISECONDS = 40_000;
const ADDRESS = /http:\/\/127\.0\.0\.1:(\d+)\/graphql/;
/** A test's devices are more than those of one identity are, and quicker. What the limits do, the server's tests show. */
const MANY_QUICK_DEVICES = {
  SYNCLINE_MAX_CONNECTIONS_PER_IDENTITY: '1000',
  SYNCLINE_MAX_OPERATIONS_IN_FLIGHT: '1000',
  SYNCLINE_MAX_MESSAGES_PER_SECOND: '100000',
};

export interface ServerOptions {
  /** Variables of the server's environment: `{SYNCLINE_MAX_KEY_BYTES: '8'}`, say. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** `syncline serve --dev` on a data folder of its own. Make one with `Server.start()`, and `dispose()` of it. */
export class Server {
  /** The server's data folder. */
  readonly folder: string;
  /** All that it printed and logged, over all starts. */
  readonly output: string[] = [];
  readonly #settings: Readonly<Record<string, string>>;
  #port = 0;
  #process: ChildProcess | undefined;

  private constructor({ settings = {} }: ServerOptions) {
    this.folder = mkdtempSync(join(tmpdir(), 'syncline-'));
    this.#settings = settings;
    process.on('exit', this.#killNow);
  }

  /** A server that is ready, on a port of its own. */
  static async start(options: ServerOptions = {}): Promise<Server> {
    const server = new Server(options);
    try {
      await server.start();
    } catch (error) {
      await server.dispose();
      throw error;
    }
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** Where its GraphQL is. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}/graphql`;
  }

  /** Start it on the folder it has, and on the port it had; done when it is ready. */
  async start(): Promise<void> {
    const child = spawn(
      python(),
      ['-m', 'syncline', 'serve', '--dev', '--data', this.folder, '--port', String(this.#port)],
      { env: { ...environment(), ...MANY_QUICK_DEVICES, ...this.#settings }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#process = child;
    const port = new Promise<number>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on('line', (line) => {
          this.output.push(line);
          const found = ADDRESS.exec(line);
          if (found) {
            resolve(Number(found[1]));
          }
        });
      }
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}:\n${this.output.join('\n')}`)));
    });
    this.#port = await port;
    await this.#ready();
  }

  async #ready(): Promise<void> {
    const deadline = Date.now() + PATIENCE_MILLISECONDS;
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${this.#port}/readyz`).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.ok) {
        return;
      }
      if (Date.now() > deadline || this.#process?.exitCode !== null) {
        throw new Error(`the server does not get ready:\n${this.output.join('\n')}`);
      }
      await pause(20);
    }
  }

  /** End it as an operator does (SIGTERM); its exit code. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** End it as by `kill -9`. */
  kill(): Promise<number | null> {
    return this.#end('SIGKILL');
  }

  /** Kill it, and start it again on the same folder and port. */
  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** Kill it, and drop its folder. */
  async dispose(): Promise<void> {
    await this.kill();
    process.off('exit', this.#killNow);
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return child?.exitCode ?? null;
    }
    const ended = once(child, 'exit');
    child.kill(signal);
    const [code] = (await ended) as [number | null];
    return code;
  }

  readonly #killNow = (): void => {
    this.#process?.kill('SIGKILL');
  };

  /** Give the stopped server's log a new identity, as after a backup was restored. */
  renewEpoch(): void {
    const run = spawnSync(python(), ['-m', 'syncline', 'epoch', 'renew', '--data', this.folder], {
      env: environment(),
      encoding: 'utf8',
    });
    if (run.status !== 0) {
      throw new Error(`syncline epoch renew: ${run.stderr}`);
    }
  }

  /** A token that this server accepts, for so many seconds; with `null` for the device, one of no device. */
  token(identity: string, device: string | null, { seconds = 3_600 }: { seconds?: number } = {}): string {
    const now = Math.floor(Date.now() / 1_000);
    const claims = { sub: identity, iat: now, ...(device === null ? {} : { did: device }), exp: now + seconds };
    const signed = [{ alg: 'HS256', typ: 'JWT' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const secret = readFileSync(join(this.folder, 'token-secret'), 'utf8').trim();
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  }

  /** Ask something over HTTP, past any client; the `data` of the answer. */
  async request<Data = unknown>(token: string, query: string, variables: Record<string, unknown> = {}): Promise<Data> {
    const answer = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await answer.json()) as { data?: Data; errors?: unknown };
    if (errors !== undefined || data === undefined) {
      throw new Error(`the server answered ${answer.status}: ${JSON.stringify(errors)}`);
    }
    return data;
  }
}

function above(folder: string): string {
  return existsSync(join(folder, 'pyproject.toml')) || folder === dirname(folder) ? folder : above(dirname(folder));
}

const python = (): string => process.env['SYNCLINE_PYTHON'] ?? join(REPOSITORY, '.venv', 'bin', 'python');

/** Ours without the settings of some other server, and with the Python of this checkout. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.toUpperCase().startsWith('SYNCLINE_'));
  return { ...Object.fromEntries(inherited), PYTHONPATH: join(REPOSITORY, 'server'), PYTHONUNBUFFERED: '1' };
}
