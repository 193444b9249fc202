/** A way to the server that a test can close, and on which the answer to a push can be lost or held. */

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What only a push has in it. */
const PUSH = '"mutationId"';
const ANSWER = '"next"';

/** An answer that is here, and not passed on before it is let go. */
export interface HeldAnswer {
  readonly arrived: Promise<void>;
  letGo(): void;
}

type Fate = { readonly kind: 'lost' } | { readonly kind: 'held'; arrive(): void; readonly freed: Promise<void> };

export class Proxy {
  readonly #to: number;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  #open = true;
  #losesNothing = false;
  /** What becomes of the answer to the next push. */
  #fate: Fate | undefined;

  private constructor(to: number) {
    this.#to = to;
    this.#listener = createServer((socket) => this.#serve(socket));
  }

  /** A proxy before the server on this port of the loopback. */
  static async start(to: number): Promise<Proxy> {
    const proxy = new Proxy(to);
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#listener.address() as AddressInfo).port}/graphql`;
  }

  /** End all connections without a goodbye. */
  cut(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  /** End all connections, and take no new ones: a device that is offline. */
  refuse(): void {
    this.#open = false;
    this.cut();
  }

  /** Take connections again. */
  accept(): void {
    this.#open = true;
  }

  /** The same, for good: no answer is lost any more either. */
  acceptAll(): void {
    this.#losesNothing = this.#open = true;
  }

  /** The next push reaches the server; its answer is lost, and from then on it is as after `refuse`. */
  refuseAfterLosingAnswer(): void {
    this.#fate = { kind: 'lost' };
  }

  /** The next push reaches the server; its answer waits here. */
  holdAnswer(): HeldAnswer {
    let arrive = (): void => undefined;
    let letGo = (): void => undefined;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const freed = new Promise<void>((resolve) => (letGo = resolve));
    this.#fate = { kind: 'held', arrive, freed };
    return { arrived, letGo };
  }

  async close(): Promise<void> {
    this.refuse();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #serve(near: Socket): void {
    if (!this.#open) {
      near.destroy();
      return;
    }
    const far = connect(this.#to, '127.0.0.1');
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    const frames = new Frames();
    let fate: Fate | undefined;
    near.on('data', (data: Buffer) => {
      const { passed, texts } = frames.read(data);
      if (this.#fate !== undefined && texts.some((text) => text.includes(PUSH))) {
        [fate, this.#fate] = [this.#fate, undefined];
      }
      far.write(passed);
    });
    let before: Promise<void> = Promise.resolve();
    far.on('data', (data: Buffer) => {
      const own = data.includes(ANSWER) ? fate : undefined;
      if (own !== undefined) {
        fate = undefined;
      }
      if (own?.kind === 'lost' && !this.#losesNothing) {
        this.refuse();
        return;
      }
      if (own?.kind === 'held') {
        own.arrive();
        before = before.then(() => own.freed);
      }
      before = before.then(() => void near.write(data));
    });
  }
}

/** Reads along what a WebSocket client sends. It asks for no compression, so that texts can be read. */
class Frames {
  #rest = Buffer.alloc(0);
  #upgraded = false;

  read(data: Buffer): { readonly passed: Buffer; readonly texts: readonly string[] } {
    if (!this.#upgraded) {
      this.#upgraded = true;
      const head = data.toString('latin1').replace(/\r\nsec-websocket-extensions:[^\r]*/i, '');
      return { passed: Buffer.from(head, 'latin1'), texts: [] };
    }
    this.#rest = Buffer.concat([this.#rest, data]);
    const texts: string[] = [];
    for (let text = this.#next(); text !== undefined; text = this.#next()) {
      texts.push(text);
    }
    return { passed: data, texts };
  }

  /** The next whole frame's payload: https://www.rfc-editor.org/rfc/rfc6455#section-5.2 */
  #next(): string | undefined {
    const frame = this.#rest;
    const short = (frame[1] ?? 0) & 0x7f;
    const start = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (frame.length < start) {
      return undefined;
    }
    const length = short === 127 ? Number(frame.readBigUInt64BE(2)) : short === 126 ? frame.readUInt16BE(2) : short;
    const end = start + 4 + length;
    if (frame.length < end) {
      return undefined;
    }
    const mask = frame.subarray(start, start + 4);
    const payload = Buffer.from(frame.subarray(start + 4, end)).map((byte, index) => byte ^ mask[index % 4]!);
    this.#rest = frame.subarray(end);
    return Buffer.from(payload).toString('utf8');
  }
}
