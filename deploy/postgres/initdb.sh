#!/usr/bin/env bash
# What PostgreSQL's image runs once, on an empty data folder: roles, database and schemas.
set -euo pipefail
PASSWORDS=/run/homeward/passwords psql --username "$POSTGRES_USER" --dbname postgres --no-psqlrc --quiet --file /homeward/roles.sql
