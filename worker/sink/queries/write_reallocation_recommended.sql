-- Proposals. $1 bodies
WITH written AS (
    INSERT INTO pacing_reallocations
    SELECT r.* FROM unnest($1::text[]) AS body, jsonb_populate_record(NULL::pacing_reallocations, body::jsonb) AS r
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM written) AS written, cardinality($1::text[]) AS given
