-- Monthly partitions: made ahead, dropped when old.
--
-- Months are UTC. A table "t" partitioned by occurred_at has partitions "t_2026_03" and one "t_default" for what falls
-- outside them, so that a row always finds a place.

-- Make one month's partition unless it is there; true if it was made. Rows of that month which the default partition
-- took in the meantime move into it.
CREATE FUNCTION pacing_make_month(parent text, month_start date) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    child    text        := format('%s_%s', parent, to_char(month_start, 'YYYY_MM'));
    spare    text        := format('%s_default', parent);
    since    timestamptz := month_start::timestamp AT TIME ZONE 'UTC';
    until    timestamptz := (month_start + interval '1 month')::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- No row may come into the default partition between the move and the attachment.
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', spare);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
    EXECUTE format(
        'WITH moved AS (DELETE FROM %I WHERE occurred_at >= %L AND occurred_at < %L RETURNING *) '
        'INSERT INTO %I SELECT * FROM moved', spare, since, until, child);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, since, until);
    RETURN true;
END;
$$;

-- Drop every month that ended by a given date, and such rows of the default partition; the names of what was dropped.
CREATE FUNCTION pacing_drop_months(parent text, before date) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    child text;
BEGIN
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass(parent)
          AND c.relname ~ ('^' || parent || '_[0-9]{4}_[0-9]{2}$')
          AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= before
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        RETURN NEXT child;
    END LOOP;
    EXECUTE format('DELETE FROM %I WHERE occurred_at < %L', parent || '_default', before::timestamp AT TIME ZONE 'UTC');
END;
$$;
