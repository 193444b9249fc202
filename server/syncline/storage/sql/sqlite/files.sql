-- What operators ask of a whole file: these read all of a table.

-- name: contents
SELECT
    (SELECT count(*) FROM datasets WHERE deleted_at IS NULL) AS datasets,
    (SELECT count(*) FROM records WHERE value IS NOT NULL) AS records;

-- name: has_audit
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'audit';

-- name: audit_of_command
INSERT INTO audit (at, tenant, operator, act, details)
VALUES (CAST(unixepoch('subsec') * 1000000 AS INTEGER), '', 'cli', :act, '{}');
