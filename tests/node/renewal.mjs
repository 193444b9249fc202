// The npm client `graphql-ws` renews its token on the raw socket. Says in JSON what it was answered, and whether the
// socket was still the same one some time later.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token, fresh, milliseconds] = process.argv.slice(2);
const sockets = [];
let answered;
const answer = new Promise((resolve) => (answered = resolve));
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  lazy: false,
  connectionParams: { authorization: `Bearer ${token}` },
  on: {
    connected: (socket) => {
      sockets.push(socket);
      socket.send(JSON.stringify({ type: "authorize", payload: { authorization: `Bearer ${fresh}` } }));
    },
    pong: (_received, payload) => answered(payload),
    closed: (event) => answered({ closed: event.code }),
  },
});
const said = await answer;
await new Promise((resolve) => setTimeout(resolve, Number(milliseconds)));
let viewer;
for await (const result of client.iterate({ query: "{ viewer { identityId } }" })) viewer = result.data.viewer;
process.stdout.write(JSON.stringify({ said, viewer, sockets: sockets.length }));
await client.dispose();
