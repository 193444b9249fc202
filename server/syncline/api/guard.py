"""What a document may cost, computed in time linear in its size.

Fragments are measured once each and counted wherever they are spread. So a document whose fragments double at each
level is refused for the number of fields it would select, without selecting them.
"""

from __future__ import annotations

from collections import Counter
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
    """The greatest document that is executed.

    Depth, aliases, directives and fields count fragments wherever they are spread; the others, the text as it is.
    """

    bytes: int = 64 * 1024
    tokens: int = 1_500
    depth: int = 20
    """Fields within fields."""
    aliases: int = 30
    directives: int = 50
    fields: int = 5_000
    fragments: int = 50
    repeats: int = 50
    """How often one name may be selected: whether two selections of a name fit is looked at pair by pair."""


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


def check_source(source: str, limits: DocumentLimits) -> None:
    """Raises LimitExceeded for a text that is too long to be parsed."""
    # Encoded only if it can be too long.
    size = len(source)
    if size * 4 > limits.bytes:
        size = len(source.encode("utf-8", "surrogatepass"))
    _compare("documentBytes", size, limits.bytes)


def check(document: DocumentNode, limits: DocumentLimits) -> None:
    """Raises LimitExceeded for the first limit that it is over."""
    found = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    _compare("documentFragments", len(found), limits.fragments)
    meter = _Meter({node.name.value: node for node in found})
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            cost = meter.selections(node.selection_set)
            _compare("documentDepth", cost.depth, limits.depth)
            _compare("documentAliases", cost.aliases, limits.aliases)
            _compare("documentDirectives", cost.directives + len(node.directives or ()), limits.directives)
            _compare("documentFields", cost.fields, limits.fields)
    for node in found:
        # Those that nobody spreads are validated, too.
        meter.measure(node)
    _compare("documentRepeats", meter.repeats, limits.repeats)


def _compare(limit: LimitName, actual: int, maximum: int) -> None:
    if actual > maximum:
        # Sums of doubling fragments outgrow what a JSON number can say.
        raise LimitExceeded(limit=limit, maximum=maximum, actual=min(actual, 2**53))


class _Meter:
    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._measured: dict[str, _Cost] = {}
        self._selected: Counter[str] = Counter()

    @property
    def repeats(self) -> int:
        """How often the most frequent name was selected in what was measured."""
        return max(self._selected.values(), default=0)

    def measure(self, fragment: FragmentDefinitionNode) -> None:
        if self._fragments[fragment.name.value] is fragment:
            self._fragment(fragment.name.value)
        else:
            # Another one of the same name; validation refuses it.
            self.selections(fragment.selection_set)

    def selections(self, selection_set: SelectionSetNode | None) -> _Cost:
        total = _NOTHING
        for node in () if selection_set is None else selection_set.selections:
            total = total.beside(self._selection(node))
        return total

    def _selection(self, node: object) -> _Cost:
        match node:
            case FieldNode():
                self._selected[(node.alias or node.name).value] += 1
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
