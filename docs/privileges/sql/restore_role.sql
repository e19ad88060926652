-- The least that a role needs so that `nightscan restore` and `nightscan drill` work with it: it owns the
-- database, and may make another beside it. It is no superuser, makes no roles, and reaches no file of the host.
-- Once, as a superuser:
--
--     psql -v role=nightscan -v database=nightscan -f restore_role.sql
--
-- With NIGHTSCAN_DATABASE_URI naming this role, a restore needs no other. What the dump says runs as this role.

\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec

ALTER ROLE :"role" LOGIN CREATEDB NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS;

SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec

ALTER DATABASE :"database" OWNER TO :"role";

-- What is in it has to belong to the role too. For what a superuser made, say so in that database:
--     ALTER TABLE … OWNER TO nightscan
-- If other roles than this one keep sessions open in it, let it end them when a restore takes its place; else
-- a restore waits for them, and gives up:
--     GRANT pg_signal_backend TO nightscan
-- If the dump grants something to other roles, or gives it to them, these have to be there; and to give, the
-- role has to be a member of each:
--     GRANT reporting TO nightscan
-- Extensions that only a superuser may make have to be in template1, or a superuser has to restore.
