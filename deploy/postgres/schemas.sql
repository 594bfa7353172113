-- One schema for each service, in the database `homeward`; may be run again. See roles.sql. Plain SQL: CloudNativePG runs it too.
CREATE SCHEMA IF NOT EXISTS directory AUTHORIZATION homeward_migrate;
CREATE SCHEMA IF NOT EXISTS policy AUTHORIZATION homeward_migrate;
CREATE SCHEMA IF NOT EXISTS recovery AUTHORIZATION homeward_migrate;
CREATE SCHEMA IF NOT EXISTS notification AUTHORIZATION homeward_migrate;
CREATE SCHEMA IF NOT EXISTS patrol AUTHORIZATION homeward_migrate;

GRANT USAGE ON SCHEMA directory TO homeward_directory;
GRANT USAGE ON SCHEMA policy TO homeward_policy;
GRANT USAGE ON SCHEMA recovery TO homeward_recovery;
GRANT USAGE ON SCHEMA notification TO homeward_notification;
GRANT USAGE ON SCHEMA patrol TO homeward_patrol;

-- For the tables that `homeward migrate` will make.
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA directory
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO homeward_directory;
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA policy
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO homeward_policy;
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA recovery
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO homeward_recovery;
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA notification
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO homeward_notification;
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA patrol
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO homeward_patrol;
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA directory GRANT USAGE, SELECT ON SEQUENCES TO homeward_directory;
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA policy GRANT USAGE, SELECT ON SEQUENCES TO homeward_policy;
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA recovery GRANT USAGE, SELECT ON SEQUENCES TO homeward_recovery;
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA notification GRANT USAGE, SELECT ON SEQUENCES TO homeward_notification;
ALTER DEFAULT PRIVILEGES FOR ROLE homeward_migrate IN SCHEMA patrol GRANT USAGE, SELECT ON SEQUENCES TO homeward_patrol;
