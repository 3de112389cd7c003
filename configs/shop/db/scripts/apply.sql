-- One migration, once. Runs in one transaction; `version` and `file` come from migrate.sh.
-- The lock makes a second instance of the group wait here until the first has committed.
SELECT pg_advisory_xact_lock(7240017);

SET LOCAL client_min_messages = warning;
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

SELECT EXISTS (SELECT FROM schema_migrations WHERE version = :'version') AS applied \gset
\if :applied
    \echo already applied: :version
\else
    \i :file
    INSERT INTO schema_migrations (version) VALUES (:'version');
    \echo applied: :version
\endif
