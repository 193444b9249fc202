from __future__ import annotations

from graphql import GraphQLObjectType, GraphQLUnionType, get_named_type

from syncline.api.schema import graphql_schema


def test_no_field_of_an_event_is_looked_up_or_depends_on_the_viewer() -> None:
    """Events are executed once for a whole cohort: a field with arguments or a resolver of its own would be shared."""
    schema = graphql_schema()
    assert schema.subscription_type is not None
    waiting = [get_named_type(field.type) for field in schema.subscription_type.fields.values()]
    seen = set()
    while waiting:
        type_ = waiting.pop()
        if type_.name in seen:
            continue
        seen.add(type_.name)
        if isinstance(type_, GraphQLUnionType):
            waiting.extend(type_.types)
        if isinstance(type_, GraphQLObjectType):
            for name, field in type_.fields.items():
                definition = field.extensions["strawberry-definition"]
                assert definition.base_resolver is None, f"{type_.name}.{name} has a resolver"
                assert not field.args, f"{type_.name}.{name} has arguments"
                waiting.append(get_named_type(field.type))
    assert {"Ready", "Commit", "Record", "Author", "DatasetCreated"} <= seen
