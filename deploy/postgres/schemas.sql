-- One schema for each service, in the database `homeward`; may be run again. See roles.sql.
SELECT format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION homeward_migrate', role),
       format('GRANT USAGE ON SCHEMA %I TO homeward_%s', role, role),
       format('ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO homeward_%s', role, role),
       format('ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA %I GRANT USAGE, SELECT ON SEQUENCES TO homeward_%s', role, role)
FROM unnest(ARRAY['directory', 'policy', 'recovery', 'notification', 'patrol']) AS role
\gexec
