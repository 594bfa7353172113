-- The database of a distributed Homeward: one role and one schema for each service.
--
-- `homeward_migrate` owns the schemas and all that is in them, and is used by `homeward migrate` only. A service may read
-- and write the rows of its own schema's tables, and nothing else: no table of another service, no change of a table.
--
-- For a superuser, in any database; may be run again, and new passwords then take effect:
--   PASSWORDS=FOLDER psql --file=deploy/postgres/roles.sql       FOLDER/<role> holds the password of homeward_<role>
\set ON_ERROR_STOP on
SET password_encryption = 'scram-sha-256';

\set migrate_password    `cat "$PASSWORDS/migrate"`
\set directory_password    `cat "$PASSWORDS/directory"`
\set policy_password       `cat "$PASSWORDS/policy"`
\set recovery_password     `cat "$PASSWORDS/recovery"`
\set notification_password `cat "$PASSWORDS/notification"`
\set patrol_password       `cat "$PASSWORDS/patrol"`

SELECT format('CREATE ROLE homeward_%s LOGIN', role)
FROM unnest(ARRAY['migrate', 'directory', 'policy', 'recovery', 'notification', 'patrol']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'homeward_' || role)
\gexec
ALTER ROLE homeward_migrate PASSWORD :'migrate_password';
ALTER ROLE homeward_directory PASSWORD :'directory_password';
ALTER ROLE homeward_policy PASSWORD :'policy_password';
ALTER ROLE homeward_recovery PASSWORD :'recovery_password';
ALTER ROLE homeward_notification PASSWORD :'notification_password';
ALTER ROLE homeward_patrol PASSWORD :'patrol_password';

SELECT 'CREATE DATABASE homeward OWNER homeward_migrate' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'homeward')
\gexec
REVOKE ALL ON DATABASE homeward FROM PUBLIC;
GRANT CONNECT ON DATABASE homeward TO homeward_directory, homeward_policy, homeward_recovery, homeward_notification, homeward_patrol;

\connect homeward
REVOKE ALL ON SCHEMA public FROM PUBLIC;
\ir schemas.sql
