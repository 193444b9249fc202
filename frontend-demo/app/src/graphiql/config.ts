/** What the server tells the page: where GraphQL is, and in dev mode a token to start with. */
export interface PageConfig {
  graphqlPath: string;
  token: string | null;
}

export async function fetchConfig(): Promise<PageConfig> {
  // Whoever links here says as whom: ?identity=ana. Only a server in dev mode heeds it.
  const response = await fetch(`/graphiql/config${location.search}`, { headers: { accept: 'application/json' } });
  if (!response.ok) {
    throw new Error(`GET /graphiql/config answered ${response.status}`);
  }
  return (await response.json()) as PageConfig;
}

/** The contents of the headers editor at the start; undefined without a token. */
export function defaultHeaders(config: PageConfig): string | undefined {
  return config.token === null ? undefined : JSON.stringify({ Authorization: `Bearer ${config.token}` }, null, 2);
}
