"""GraphQL documents that are cheap to send and made to be dear to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from graphql import get_introspection_query

_FIELD = 'dataset(dataset: {name: "n"})'


def _repeated(template: str, times: int, separator: str = " ") -> str:
    return separator.join(template.replace("NUMBER", str(number)) for number in range(times))


def _spread(levels: int, body: str, last: str = "__typename", on: str = "Query") -> str:
    """Fragments each of which has ``body``, where NEXT is the name of the next one."""
    fragments = [f"fragment F{n} on {on} {{ {body.replace('NEXT', f'F{n + 1}')} }}" for n in range(levels)]
    return " ".join([*fragments, f"fragment F{levels} on {on} {{ {last} }}"])


DOCUMENTS: Final[Mapping[str, str]] = {
    # Nested fragments
    "100 nested fragments": "{ ...F0 } " + _spread(100, "...NEXT"),
    "100 nested fragments, each spread twice": "{ ...F0 } " + _spread(100, "...NEXT ...NEXT"),
    "100 nested fragments under fields": "{ ...F0 } " + _spread(100, f"a: {_FIELD} {{ id }} ...NEXT ...NEXT"),
    "100 nested fragments with conditions": "{ ...F0 } " + _spread(100, "...NEXT @include(if: true) ...NEXT"),
    "100 nested inline fragments, twice": "{ " + "... on Query { __typename " * 100 + "}" * 100 + " }",
    "1,000 fragments, each spread by the next": "{ ...F0 } " + _spread(1_000, "...NEXT"),
    "1,000 fragments, unused": "{ __typename } " + _repeated("fragment FNUMBER on Query { __typename }", 800),
    "1,000 spreads of one fragment": "{ " + _repeated("...F", 1_000) + " } fragment F on Query { __typename }",
    "4,900 spreads of no fragment": "{ " + _repeated("...FNUMBER", 2_400) + " }",
    "a cycle of 100 fragments": "{ ...F0 } "
    + " ".join(f"fragment F{n} on Query {{ ...F{(n + 1) % 100} }}" for n in range(100)),
    "30 fragments that all spread each other": "{ ...F0 } "
    + " ".join(f"fragment F{n} on Query {{ {_repeated('...FNUMBER', 30)} }}" for n in range(30)),
    "60 fragments that all spread those after them": "{ ...F0 } "
    + " ".join(
        f"fragment F{n} on Query {{ __typename {' '.join(f'...F{m}' for m in range(n + 1, 60))} }}" for n in range(60)
    ),
    "80 fragments side by side": "{ "
    + _repeated("...FNUMBER", 80)
    + " } "
    + _repeated("fragment FNUMBER on Query { aNUMBER: __typename b: __typename }", 80),
    "99 fragments side by side of one field": "{ "
    + _repeated("...FNUMBER", 99)
    + " } "
    + _repeated('fragment FNUMBER on Query { dataset(dataset: {name: "n"}) { id } }', 99),
    "99 fragments side by side of different fields": "{ "
    + _repeated("...FNUMBER", 99)
    + " } "
    + _repeated("fragment FNUMBER on Query { __typename datasets { edges { cursor } } }", 99),
    "99 fragments, each spread by the next": "{ ...F0 } " + _spread(99, "__typename ...NEXT"),
    "99 fragments that spread all after the next": "{ ...F0 } "
    + " ".join(
        f"fragment F{n} on Query {{ __typename {' '.join(f'...F{m}' for m in range(n + 1, min(n + 8, 99)))} }}"
        for n in range(99)
    ),
    "99 fragments in circles": "{ ...F0 } "
    + " ".join(
        f"fragment F{n} on Query {{ {' '.join(f'...F{(n + m) % 99}' for m in range(1, 7))} }}" for n in range(99)
    ),
    "49 fragments side by side of different fields": "{ "
    + _repeated("...FNUMBER", 49)
    + " } "
    + _repeated("fragment FNUMBER on Query { __typename datasets { edges { cursor } } }", 49),
    "49 fragments, each spread by the next": "{ ...F0 } " + _spread(48, "__typename ...NEXT"),
    "49 fragments in circles": "{ ...F0 } "
    + " ".join(f"fragment F{n} on Query {{ {_repeated('...FNUMBER', 29)} }}" for n in range(49)),
    "30 fragments that all spread those after them": "{ ...F0 } "
    + " ".join(f"fragment F{n} on Query {{ b {' '.join(f'...F{m}' for m in range(n + 1, 30))} }}" for n in range(30)),
    # Depth
    "depth 3,000": "{" + "a{" * 3_000 + "b" + "}" * 3_000 + "}",
    "depth 3,000, never closed": "{a" * 3_000,
    "depth 200": "{" + "a{" * 200 + "b" + "}" * 200 + "}",
    "inline fragments 3,000 deep": "{" + "...{" * 3_000 + "a" + "}" * 3_000 + "}",
    "inline fragments 200 deep": "{" + "...{" * 200 + "__typename" + "}" * 200 + "}",
    "introspection in circles": "{ __schema { types { " + "fields { type { " * 8 + "name" + " } }" * 8 + " } } }",
    "introspection with all types of types": "{ __schema { types { fields { args { type { ofType { ofType { ofType { "
    "fields { args { type { fields { name } } } } } } } } } } } } }",
    # Breadth
    "10,000 aliases": "{" + _repeated("aNUMBER:__typename", 10_000) + "}",
    "30 aliases of a list": "{" + _repeated("aNUMBER: datasets(first: 100) { edges { cursor } }", 30) + "}",
    "10,000 directives": "{ __typename " + "@include(if:true)" * 10_000 + "}",
    "10,000 directives that do not exist": "{ __typename " + "@x" * 10_000 + "}",
    "1,600 directives that do not exist": "{ __typename " + "@x" * 1_600 + "}",
    "10,000 fields": "{" + " __typename" * 10_000 + "}",
    "4,900 times the same field": "{" + " __typename" * 4_900 + "}",
    "4,900 fields that do not exist": "{" + _repeated("aNUMBER", 4_900) + "}",
    "the same field with 700 different arguments": "{"
    + _repeated('dataset(dataset: {name: "nNUMBER"}) { id }', 380)
    + "}",
    "100 times the same field with different arguments": "{"
    + _repeated('dataset(dataset: {name: "nNUMBER"}) { id }', 100)
    + "}",
    "100 times each of 19 fields": "{" + "".join(f" a{n % 19}" for n in range(1_900)) + "}",
    "50 times the same field with different arguments": "{"
    + _repeated('dataset(dataset: {name: "nNUMBER"}) { id }', 50)
    + "}",
    "50 times each of 29 fields": "{" + "".join(f" a{n % 29}" for n in range(1_450)) + "}",
    "1,480 times the same field": "{" + " __typename" * 1_480 + "}",
    "1,480 fields that do not exist": "{" + _repeated("aNUMBER", 1_480) + "}",
    "1,000 fields without their selections": "{" + " datasets" * 1_000 + "}",
    "100 fields without their selections": "{" + " datasets" * 100 + "}",
    "900 operations": _repeated("query QNUMBER { __typename }", 900),
    "290 operations": _repeated("query QNUMBER { __typename }", 290),
    "100 operations that spread the same fragments": _repeated("query QNUMBER { ...F0 }", 100)
    + _spread(48, "a: __typename ...NEXT"),
    "1,600 operations of the same name": "query Q { __typename } " * 800,
    "1,200 anonymous operations": "{__typename}" * 1_200,
    "700 variables, unused": "query (" + _repeated("$vNUMBER: Int", 1_200) + ") { __typename }",
    "700 variables of no type": "query (" + _repeated("$vNUMBER: Nope", 1_200) + ") { __typename }",
    "the same variable 1,200 times": "query (" + "$v: Int " * 1_200 + ") { __typename }",
    "1,200 variables that are not declared": "{ datasets(first: $a) { edges { cursor } } __type(name: $b) { "
    + _repeated("fields(includeDeprecated: $vNUMBER) { name }", 500)
    + " } }",
    "360 variables, unused": "query (" + _repeated("$vNUMBER: Int", 360) + ") { __typename }",
    "240 variables in a list": "query ("
    + _repeated("$vNUMBER: Int", 240)
    + ") { datasets(first: ["
    + _repeated("$vNUMBER", 240)
    + "]) { edges { cursor } } }",
    "480 arguments": "{ datasets(" + _repeated("aNUMBER: 1", 480) + ") { edges { cursor } } }",
    "480 times the same argument": "{ datasets(" + "first: 1 " * 480 + ") { edges { cursor } } }",
    "many arguments": "{ datasets(" + _repeated("aNUMBER: 1", 1_600) + ") { edges { cursor } } }",
    "the same argument 1,600 times": "{ datasets(" + "first: 1 " * 1_600 + ") { edges { cursor } } }",
    # Literals
    "a literal 3,000 lists deep": "{ a(b: " + "[" * 3_000 + "]" * 3_000 + ") }",
    "a literal 3,000 objects deep": "{ a(b: " + "{a:" * 3_000 + "1" + "}" * 3_000 + ") }",
    "a literal 200 lists deep": "{ dataset(dataset: " + "[" * 200 + "]" * 200 + ") { id } }",
    "a literal of 4,900 numbers": "{ dataset(dataset: {name: [" + "1 " * 4_900 + "]}) { id } }",
    "a literal of 1,480 numbers": "{ dataset(dataset: {name: [" + "1 " * 1_480 + "]}) { id } }",
    "a literal of 480 members": "{ dataset(dataset: {" + _repeated("aNUMBER: 1", 480) + "}) { id } }",
    "a literal with the same member 480 times": "{ dataset(dataset: {" + 'name: "n" ' * 480 + "}) { id } }",
    "a literal of 480 long members": "{ dataset(dataset: {" + _repeated("a" * 120 + "NUMBER: 1", 480) + "}) { id } }",
    "280 changes that are none": 'mutation { sync(input: {dataset: {name: "n"}, mutationId: "1", changes: ['
    + "{a: 1} " * 280
    + "]}) { __typename } }",
    "a literal of 1,600 members": "{ dataset(dataset: {" + _repeated("aNUMBER: 1", 1_600) + "}) { id } }",
    "a literal with the same member 1,600 times": "{ dataset(dataset: {" + 'name: "n" ' * 1_600 + "}) { id } }",
    "a value 200 lists deep": 'mutation { sync(input: {dataset: {name: "n"}, mutationId: "1", changes: [{put: {'
    'key: "k", value: ' + "[" * 200 + "]" * 200 + "}}]}) { __typename } }",
    "a number of 100,000 digits": "{ datasets(first: " + "9" * 100_000 + ") { edges { cursor } } }",
    "a float of 100,000 digits": "{ datasets(first: 0." + "9" * 100_000 + ") { edges { cursor } } }",
    "a text of 1 MB": '{ dataset(dataset: {name: "' + "x" * 1_000_000 + '"}) { id } }',
    "a text of 100,000 escapes": '{ dataset(dataset: {name: "' + "\\u0041" * 100_000 + '"}) { id } }',
    "a block text of 100,000 lines": '{ dataset(dataset: {name: """' + "\n x" * 100_000 + '"""}) { id } }',
    "a block text that does not end": '{ dataset(dataset: {name: """' + "\n x" * 100_000,
    "a default value 200 lists deep": "query ($a: Int = " + "[" * 200 + "]" * 200 + ") { __typename }",
    "a type 3,000 lists deep": "query ($a: " + "[" * 3_000 + "Int" + "]" * 3_000 + ") { __typename }",
    "a type 200 lists deep": "query ($a: "
    + "[" * 200
    + "Int"
    + "]" * 200
    + ") { datasets(first: $a) { edges { cursor } } }",
    # Text
    "64 KB of a name": "{ " + "a" * 65_000 + " }",
    "64 KB of names": "{ " + ("a" * 640 + " ") * 100 + " }",
    "64 KB of near misses": "{ " + _repeated("dataset" + "s" * 600 + "NUMBER", 100) + " }",
    "a text of 64 KB": '{ dataset(dataset: {name: "' + "x" * 65_000 + '"}) { id } }',
    "a text of 10,000 escapes": '{ dataset(dataset: {name: "' + "\\u0041" * 10_000 + '"}) { id } }',
    "a block text of 20,000 lines": '{ dataset(dataset: {name: """' + "\n x" * 20_000 + '"""}) { id } }',
    "64 KB of blanks": " " * 65_000 + "{ __typename }",
    "64 KB of comment": "#" * 65_000 + "\n{ __typename }",
    "1 MB of blanks": " " * 1_000_000 + "{ __typename }",
    "1 MB of commas": "," * 1_000_000 + "{ __typename }",
    "1 MB of comment": "#" * 1_000_000 + "\n{ __typename }",
    "200,000 comments": "#\n" * 200_000 + "{ __typename }",
    "1 MB of a name": "{ " + "a" * 1_000_000 + " }",
    "1 MB of braces": "{" * 1_000_000,
    "1 MB of characters that mean nothing": "\u00e9" * 500_000,
    "a name near many others": "{ " + "datasetss " * 500 + "}",
    "a type near many others": "{ __typename ... on Datasett { id } ... on DatasetChangee { id } }",
    "GraphiQL's introspection": get_introspection_query(),
    "GraphiQL's introspection, in full": get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    ),
}
