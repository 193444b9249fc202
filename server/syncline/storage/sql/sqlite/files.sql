-- What operators ask of a whole file: these read all of a table.

-- name: contents
SELECT
    (SELECT count(*) FROM datasets WHERE deleted_at IS NULL) AS datasets,
    (SELECT count(*) FROM records WHERE value IS NOT NULL) AS records;
