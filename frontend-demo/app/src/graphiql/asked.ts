import { Kind, parse, type DocumentNode } from 'graphql';

/** What is asked for: a text with the operations in it, and the name of the one that is meant. */
export interface Asked {
  query: string;
  operationName?: string | null | undefined;
}

/**
 * The document of a request and the operation that is meant in it. GraphiQL hands over the text as it stands in the
 * editor, but finds out a moment later which operations that has: whoever is quick would ask for one of the text before.
 */
export function asked<T extends Asked>(request: T): { request: T; document: DocumentNode | undefined } {
  let document: DocumentNode;
  try {
    document = parse(request.query);
  } catch {
    // The server says it better.
    return { request, document: undefined };
  }
  const names = document.definitions
    .filter((definition) => definition.kind === Kind.OPERATION_DEFINITION)
    .map((definition) => definition.name?.value);
  if (names.length !== 1 || names[0] === request.operationName) {
    return { request, document };
  }
  return { request: { ...request, operationName: names[0] }, document };
}
