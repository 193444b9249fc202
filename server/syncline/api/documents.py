"""Documents, parsed, guarded and validated once each and then kept."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    get_operation_ast,
    parse,
    print_ast,
    validate,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails

from syncline.api import guard
from syncline.api.coercion import InputCoercion, VariableCoercion
from syncline.api.errors import request_errors
from syncline.api.guard import DocumentLimits
from syncline.api.projections import Projections
from syncline.errors import DocumentInvalid, LimitExceeded, LimitName, SynclineError


class RequestRejected(Exception):
    """The request never began to execute. ``errors`` is what to answer; ``limit``, the one that it was over."""

    def __init__(self, errors: list[dict[str, object]], *, limit: LimitName | None = None) -> None:
        super().__init__(str(errors))
        self.errors = errors
        self.limit = limit


class ParsedDocument:
    """A document that is valid for the schema and within the limits."""

    def __init__(self, source: str, node: DocumentNode, inputs: InputCoercion) -> None:
        self.source = source
        self.node = node
        self._inputs = inputs
        self._operations: dict[str | None, ParsedOperation] = {}

    @cached_property
    def fingerprint(self) -> bytes:
        """The same for documents that differ in white space and comments only."""
        return hashlib.blake2b(print_ast(self.node).encode(), digest_size=16).digest()

    @cached_property
    def fragment_nodes(self) -> dict[str, FragmentDefinitionNode]:
        """The document's fragments by name."""
        return {node.name.value: node for node in self.node.definitions if isinstance(node, FragmentDefinitionNode)}

    @cached_property
    def fragments(self) -> dict[str, FragmentDetails]:
        """The same as an executor wants them."""
        return {name: FragmentDetails(node) for name, node in self.fragment_nodes.items()}

    def operation(self, name: str | None) -> ParsedOperation:
        """The operation of this name, or the only one. Raises RequestRejected."""
        operation = self._operations.get(name)
        if operation is None:
            node = self._node_of(name)
            operation = self._operations[name] = ParsedOperation(self, node, name, self._inputs.variables(node))
        return operation

    def _node_of(self, name: str | None) -> OperationDefinitionNode:
        operation = get_operation_ast(self.node, name)
        if operation is None:
            reason = (
                "the document has several operations; name one as operationName"
                if name is None
                else f"the document has no operation {name[:100]!r}"
            )
            raise RequestRejected(request_errors([_error(DocumentInvalid(reason))]))
        return operation


@dataclass(frozen=True, eq=False)
class ParsedOperation:
    """One operation of a document. ``name`` is the one it was asked for by, if any."""

    document: ParsedDocument
    node: OperationDefinitionNode
    name: str | None
    variables: VariableCoercion

    @cached_property
    def projections(self) -> Projections:
        """Those of every execution, unless its selections use variables."""
        return Projections()

    @cached_property
    def payload_variables(self) -> Sequence[str]:
        """The variables of a subscription on which the selection of an event depends, in order.

        Not those that only say which events are wanted, the arguments of the root field: ``since``, say.
        """
        return sorted(_variables_below_root(self.document.node, self.node))


class _VariableNames(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_args: object) -> None:
        self.names.add(node.name.value)


def _variables_below_root(document: DocumentNode, operation: OperationDefinitionNode) -> frozenset[str]:
    names = _VariableNames()
    for definition in document.definitions:
        if not isinstance(definition, OperationDefinitionNode):
            visit(definition, names)
    for selection in operation.selection_set.selections:
        if isinstance(selection, FieldNode):
            if selection.selection_set is not None:
                visit(selection.selection_set, names)
            for directive in selection.directives or ():
                visit(directive, names)
        else:
            visit(selection, names)
    return frozenset(names.names)


def _error(error: SynclineError) -> GraphQLError:
    return GraphQLError(error.message, original_error=error)


class Documents:
    """Parses and validates; keeps the latest used documents, bounded in number and in size of their texts."""

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits, *, entries: int, source_bytes: int) -> None:
        self._schema = schema
        self._inputs = InputCoercion(schema)
        self._limits = limits
        self._entries = entries
        self._source_bytes = source_bytes
        self._held_bytes = 0
        self._documents: OrderedDict[str, ParsedDocument] = OrderedDict()

    def get(self, source: str) -> ParsedDocument:
        """The document. Raises RequestRejected."""
        document = self._documents.get(source)
        if document is not None:
            self._documents.move_to_end(source)
            return document
        document = ParsedDocument(source, self._parse(source), self._inputs)
        self._keep(document)
        return document

    def _parse(self, source: str) -> DocumentNode:
        try:
            guard.check_source(source, self._limits)
            node = parse(source, max_tokens=self._limits.tokens)
            guard.check(node, self._limits)
            errors = validate(self._schema, node, max_errors=5)
        except GraphQLSyntaxError as error:
            if "tokens" in error.message:
                limit = LimitExceeded(
                    limit="documentTokens", maximum=self._limits.tokens, actual=self._limits.tokens + 1
                )
                raise RequestRejected(request_errors([_error(limit)]), limit=limit.limit) from None
            raise RequestRejected(request_errors([error])) from None
        except LimitExceeded as error:
            raise RequestRejected(request_errors([_error(error)]), limit=error.limit) from None
        except RecursionError:
            raise RequestRejected(request_errors([_error(DocumentInvalid("nested too deeply"))])) from None
        except GraphQLError as error:
            raise RequestRejected(request_errors([error])) from None
        if errors:
            raise RequestRejected(request_errors(errors))
        return node

    def _keep(self, document: ParsedDocument) -> None:
        self._documents[document.source] = document
        self._held_bytes += len(document.source)
        while len(self._documents) > self._entries or self._held_bytes > self._source_bytes:
            source, _ = self._documents.popitem(last=False)
            self._held_bytes -= len(source)
