import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './page.css';

import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { defaultHeaders, fetchConfig, type PageConfig } from './config.ts';
import { examples } from './examples.ts';
import { createFetcher } from './fetcher.ts';

const container = document.getElementById('graphiql') as HTMLElement;

function show(config: PageConfig): void {
  const headers = defaultHeaders(config);
  createRoot(container).render(
    <GraphiQL
      fetcher={createFetcher(config.graphqlPath, headers)}
      defaultTabs={examples.map(({ query, variables }) => ({
        query,
        variables: variables === undefined ? null : JSON.stringify(variables, null, 2),
      }))}
      // They hold a credential: a tab without headers of its own gets these, and none are kept in the browser.
      {...(headers === undefined ? {} : { defaultHeaders: headers })}
      shouldPersistHeaders={false}
      showPersistHeadersSettings={false}
      defaultEditorToolsVisibility="variables"
    >
      <GraphiQL.Logo>Syncline</GraphiQL.Logo>
    </GraphiQL>,
  );
}

fetchConfig().then(show, (error: unknown) => {
  const message = document.createElement('p');
  message.role = 'alert';
  message.textContent = `GraphiQL could not be started: ${error instanceof Error ? error.message : String(error)}`;
  container.replaceChildren(message);
});
