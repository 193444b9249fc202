"""What a document may cost, computed in time linear in its size.

Fragments are measured once each and counted wherever they are spread. So a document whose fragments double at each
level is refused for the number of fields it would select, without selecting them.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from syncline.errors import LimitExceeded, LimitName


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLimits:
    """The greatest document that is executed. All but ``tokens`` count fragments wherever they are spread."""

    tokens: int = 5_000
    depth: int = 20
    """Fields within fields."""
    aliases: int = 30
    directives: int = 50
    fields: int = 5_000


@dataclass(frozen=True, slots=True)
class _Cost:
    depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0

    def beside(self, other: _Cost) -> _Cost:
        return _Cost(
            max(self.depth, other.depth),
            self.aliases + other.aliases,
            self.directives + other.directives,
            self.fields + other.fields,
        )


_NOTHING = _Cost()


def check(document: DocumentNode, limits: DocumentLimits) -> None:
    """Raises LimitExceeded for the first operation that is over a limit."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    meter = _Meter(fragments)
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            cost = meter.selections(node.selection_set)
            _compare("documentDepth", cost.depth, limits.depth)
            _compare("documentAliases", cost.aliases, limits.aliases)
            _compare("documentDirectives", cost.directives + len(node.directives or ()), limits.directives)
            _compare("documentFields", cost.fields, limits.fields)


def _compare(limit: LimitName, actual: int, maximum: int) -> None:
    if actual > maximum:
        # Sums of doubling fragments outgrow what a JSON number can say.
        raise LimitExceeded(limit=limit, maximum=maximum, actual=min(actual, 2**53))


class _Meter:
    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._measured: dict[str, _Cost] = {}

    def selections(self, selection_set: SelectionSetNode | None) -> _Cost:
        total = _NOTHING
        for node in () if selection_set is None else selection_set.selections:
            total = total.beside(self._selection(node))
        return total

    def _selection(self, node: object) -> _Cost:
        match node:
            case FieldNode():
                inner = self.selections(node.selection_set)
                return _Cost(
                    inner.depth + 1,
                    inner.aliases + (node.alias is not None),
                    inner.directives + len(node.directives or ()),
                    inner.fields + 1,
                )
            case InlineFragmentNode():
                inner = self.selections(node.selection_set)
                return inner.beside(_Cost(directives=len(node.directives or ())))
            case FragmentSpreadNode():
                return self._fragment(node.name.value).beside(_Cost(directives=len(node.directives or ())))
            case _:
                return _NOTHING

    def _fragment(self, name: str) -> _Cost:
        if name not in self._measured:
            # A fragment that spreads itself counts nothing there; validation refuses it.
            self._measured[name] = _NOTHING
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._measured[name] = self.selections(fragment.selection_set)
        return self._measured[name]
