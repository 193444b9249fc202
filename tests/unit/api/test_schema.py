from __future__ import annotations

from pathlib import Path

from graphql import GraphQLObjectType, GraphQLUnionType

from syncline.api.schema import graphql_schema, schema_sdl

ROOT = Path(__file__).parents[3]


def test_schema_graphql_is_what_the_code_says() -> None:
    assert (ROOT / "schema.graphql").read_text() == schema_sdl(), "run `make schema`"


def test_fields_of_one_name_have_one_type_in_every_member_of_a_union() -> None:
    """Otherwise a client cannot select them in each member without aliases."""
    for union in graphql_schema().type_map.values():
        if not isinstance(union, GraphQLUnionType):
            continue
        types: dict[str, str] = {}
        for member in union.types:
            for name, field in member.fields.items():
                assert types.setdefault(name, str(field.type)) == str(field.type), f"{union.name}: {name}"


def test_every_type_that_a_client_meets_first_is_described() -> None:
    schema = graphql_schema()
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        assert isinstance(root, GraphQLObjectType)
        for name, field in root.fields.items():
            assert field.description, f"{root.name}.{name}"
