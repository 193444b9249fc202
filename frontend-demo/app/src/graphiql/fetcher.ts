import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import { asked } from './asked.ts';

/**
 * Queries and mutations go by POST, subscriptions over `graphql-transport-ws`. Either way the request carries what then
 * stands in the headers editor: a browser cannot set headers on a WebSocket, so there it is the payload of
 * `connection_init`, where the server takes the authorization in any letter case.
 */
export function createFetcher(graphqlPath: string, startHeaders: string | undefined): Fetcher {
  const url = new URL(graphqlPath, window.location.href);
  const socket = new URL(url);
  socket.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const send = createGraphiQLFetcher({
    url: url.href,
    subscriptionUrl: socket.href,
    enableIncrementalDelivery: false,
  });
  const forIntrospection = startHeaders === undefined ? {} : { headers: JSON.parse(startHeaders) as object };
  return (parameters, options) => {
    // GraphiQL reads the schema before its headers editor is there.
    const early = parameters.operationName === 'IntrospectionQuery' && options?.headers === undefined;
    const { request, document } = asked(parameters);
    return send(request, {
      ...options,
      ...(early ? forIntrospection : {}),
      ...(document === undefined ? {} : { documentAST: document }),
    });
  };
}
