"""Two nodes with PostgreSQL and Valkey, all of which break, hang and lie, by the roll of seeded dice."""
