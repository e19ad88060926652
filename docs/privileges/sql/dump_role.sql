-- The role that dumps: it reads everything in one database, and changes nothing of it.
--
-- As a superuser, in the database that is backed up:
--     psql -d nightscan -v role=nightscan_dump -v owner=nightscan -f dump_role.sql
--     psql -d nightscan -c '\password nightscan_dump'
-- May be run again, and should be after another role made something: nothing is granted twice.
\set ON_ERROR_STOP on
\if :{?role} \else
    \set role nightscan_dump
\endif
\if :{?owner} \else
    \set owner nightscan
\endif

BEGIN;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') AS missing \gset
\if :missing
    CREATE ROLE :"role" LOGIN;
\endif

-- BYPASSRLS: pg_dump refuses a table whose policies would hide rows from it, rather than dump a part of it.
-- CONNECTION LIMIT: a dump takes three connections; two may overlap.
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION INHERIT BYPASSRLS CONNECTION LIMIT 8;
-- Against slips; who has the password may switch it off. What holds is what the role may not do.
ALTER ROLE :"role" SET default_transaction_read_only = on;

-- What is there. Not pg_read_all_data: that reads pg_authid too, with what proves every role's password.
SELECT format('GRANT USAGE ON SCHEMA %1$I TO %2$I; GRANT SELECT ON ALL TABLES IN SCHEMA %1$I TO %2$I; '
              'GRANT SELECT ON ALL SEQUENCES IN SCHEMA %1$I TO %2$I', nspname, :'role')
FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec

-- What the application makes later. What another role makes: run this again; a dump that may not read it all
-- fails, and `nightscan doctor` names the tables.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE ON SCHEMAS TO :"role";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT ON TABLES TO :"role";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT ON SEQUENCES TO :"role";

-- Without these two lines, anybody who may log in can make temporary tables.
SELECT current_database() AS database \gset
REVOKE TEMPORARY ON DATABASE :"database" FROM PUBLIC;
GRANT TEMPORARY ON DATABASE :"database" TO :"owner";
GRANT CONNECT ON DATABASE :"database" TO :"role";

-- Until PostgreSQL 15 anybody could make tables in `public`.
SELECT current_setting('server_version_num')::int < 150000 AS is_old \gset
\if :is_old
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
\endif

-- Large objects. Those that come later: from PostgreSQL 18 on by the default privileges of their owner; before,
-- run this again: a dump that may not read one fails.
SELECT format('GRANT SELECT ON LARGE OBJECT %s TO %I', oid, :'role') FROM pg_largeobject_metadata \gexec
SELECT current_setting('server_version_num')::int >= 180000 AS has_default \gset
\if :has_default
    ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT ON LARGE OBJECTS TO :"role";
\endif

COMMIT;
