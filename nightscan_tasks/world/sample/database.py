"""The application's tables, and rows that name the uploads.

Keys and indexes are made after the rows, as a restore makes them too: it is several times faster.
"""

from __future__ import annotations

import json

import psycopg

from nightscan_tasks.world.sample.plan import SPECIES, Plan, Upload

_DETECTION_SQL_BYTES = 185  # about what one row is in a dump
_AUDIT_SQL_BYTES = 160
_DETECTION_SHARE = 0.6
_FEWEST = 50

_TABLES = """
CREATE TYPE subscription AS ENUM ('free', 'researcher', 'institution');
CREATE SEQUENCE invoice_number START 1000;
CREATE TABLE "user" (
    id serial PRIMARY KEY, username varchar(80) NOT NULL UNIQUE, email text NOT NULL UNIQUE,
    password_hash text NOT NULL, plan subscription NOT NULL DEFAULT 'free',
    is_active boolean NOT NULL DEFAULT true, preferences jsonb NOT NULL DEFAULT '{}',
    invoice integer DEFAULT nextval('invoice_number'), created_at timestamptz NOT NULL);
CREATE TABLE prediction (
    id uuid NOT NULL, user_id integer NOT NULL, filename text NOT NULL, file_size bigint NOT NULL,
    species text, confidence double precision CHECK (confidence BETWEEN 0 AND 1),
    result jsonb NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE detection (
    id bigserial NOT NULL, prediction_id uuid NOT NULL, species text NOT NULL,
    confidence real NOT NULL, latitude numeric(9,6), longitude numeric(9,6), zone text,
    image_url text, description text, tags text[] NOT NULL DEFAULT '{}',
    detected_at timestamptz NOT NULL);
CREATE TABLE user_session (
    token uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id integer NOT NULL, address inet,
    user_agent text, valid_for interval, expires_at timestamptz NOT NULL);
CREATE TABLE audit_log (
    id bigserial NOT NULL, at timestamptz NOT NULL, user_id integer, action text NOT NULL,
    detail jsonb, request_digest bytea);
CREATE TABLE system_setting (name text PRIMARY KEY, value jsonb NOT NULL, note text);
"""
_USERS = """
INSERT INTO "user" (username, email, password_hash, plan, is_active, preferences, created_at)
SELECT 'user' || n, 'user' || n || '@example.org', 'scrypt:32768:8:1$' || md5(%(seed)s || n::text),
       (ARRAY['free', 'free', 'researcher', 'institution'])[1 + n %% 4]::subscription, n %% 17 <> 0,
       jsonb_build_object('lang', (ARRAY['fr', 'en', 'de'])[1 + n %% 3], 'alerts', n %% 2 = 0),
       %(now)s::timestamptz - n * interval '3 hours'
FROM generate_series(1, %(users)s) n
"""
_DETECTIONS = """
INSERT INTO detection (prediction_id, species, confidence, latitude, longitude, zone, image_url,
                       description, tags, detected_at)
SELECT p.id, (%(species)s::text[])[1 + n %% %(kinds)s], 0.5 + (n * 7919 %% 5000) / 10000.0,
       43 + (n * 104729 %% 6000000) / 1000000.0, 1 + (n * 15485863 %% 6000000) / 1000000.0,
       'zone ' || n %% 40, CASE WHEN n %% 3 > 0 THEN '/uploads/' || i.path END,
       'call no ' || n %% 9 || ' ' || md5(%(seed)s || n::text), ARRAY['night', 'run' || n %% 12],
       p.created_at + n %% 600 * interval '1 second'
FROM generate_series(1, %(rows)s::bigint) n
JOIN numbered p ON p.number = 1 + n * 7 %% %(predictions)s
JOIN picture i ON i.number = 1 + n * 13 %% %(pictures)s
"""
_SESSIONS = """
INSERT INTO user_session (token, user_id, address, user_agent, valid_for, expires_at)
SELECT md5(%(seed)s || 'session' || n)::uuid, n, ('10.0.' || n %% 256 || '.' || n / 256 %% 256)::inet,
       'Mozilla/5.0 (X11; Linux x86_64)', interval '14 days',
       %(now)s::timestamptz + n %% 14 * interval '1 day'
FROM generate_series(1, %(users)s) n
"""
_AUDIT = """
INSERT INTO audit_log (at, user_id, action, detail, request_digest)
SELECT %(now)s::timestamptz - n * interval '7 seconds', 1 + n %% %(users)s,
       (ARRAY['login', 'upload', 'predict', 'export', 'delete'])[1 + n %% 5],
       jsonb_build_object('request', md5(%(seed)s || 'audit' || n), 'ms', n * 31 %% 900, 'ok', true),
       CASE WHEN n %% 4 = 0 THEN decode(md5(n::text), 'hex') END
FROM generate_series(1, %(rows)s::bigint) n
"""
_KEYS = """
INSERT INTO system_setting VALUES
    ('uploads.max_bytes', '104857600', NULL), ('models.audio', '"efficientnet_birds_v4.pt"', E'a\\tb'),
    ('maintenance', '{"on": false, "text": "À bientôt \\\\ 夜"}', ''), ('empty', 'null', NULL);
ALTER TABLE prediction ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE;
ALTER TABLE detection ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (prediction_id) REFERENCES prediction (id) ON DELETE CASCADE;
ALTER TABLE user_session ADD FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE;
ALTER TABLE audit_log ADD PRIMARY KEY (id), ADD FOREIGN KEY (user_id) REFERENCES "user" (id);
CREATE INDEX ON prediction (user_id, created_at);
CREATE INDEX ON prediction USING gin (result jsonb_path_ops);
CREATE INDEX ON detection (species, detected_at) WHERE confidence > 0.9;
CREATE INDEX ON audit_log USING brin (at);
CREATE VIEW species_summary AS
    SELECT species, count(*) AS seen, max(detected_at) AS last_seen FROM detection GROUP BY species;
CREATE FUNCTION lower_email() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN NEW.email := lower(NEW.email); RETURN NEW; END$$;
CREATE TRIGGER user_email BEFORE INSERT OR UPDATE ON "user"
    FOR EACH ROW EXECUTE FUNCTION lower_email();
COMMENT ON TABLE prediction IS 'One for each upload; filename is below uploads/';
"""


def write_database(dsn: str, plan: Plan) -> None:
    """Make the tables and fill them, in one transaction. The database must not have them yet."""
    values = {"seed": str(plan.seed), "now": plan.now, "users": plan.users, "species": list(SPECIES),
              "kinds": len(SPECIES), "predictions": len(plan.uploads),
              "pictures": len(plan.pictures)}
    detections = plan.database_bytes * _DETECTION_SHARE / _DETECTION_SQL_BYTES
    audits = plan.database_bytes * (1 - _DETECTION_SHARE) / _AUDIT_SQL_BYTES
    with psycopg.connect(dsn) as connection:
        connection.execute(_TABLES)
        connection.execute(_USERS, values)
        _write_predictions(connection, plan)
        connection.execute(_DETECTIONS, {**values, "rows": max(_FEWEST, int(detections))})
        connection.execute(_SESSIONS, values)
        connection.execute(_AUDIT, {**values, "rows": max(_FEWEST, int(audits))})
        connection.execute(_KEYS)


def _write_predictions(connection: psycopg.Connection, plan: Plan) -> None:
    """A row for each upload; and, while the transaction lasts, both lists by number."""
    with connection.cursor() as cursor:
        with cursor.copy("COPY prediction FROM STDIN") as rows:
            for number, upload in enumerate(plan.uploads):
                rows.write_row((upload.prediction_id, 1 + number % plan.users, upload.path,
                                upload.size_bytes, upload.species, upload.confidence,
                                json.dumps(_result(upload)), upload.uploaded_at))
        cursor.execute("CREATE TEMP TABLE picture (number serial, path text) ON COMMIT DROP")
        with cursor.copy("COPY picture (path) FROM STDIN") as rows:
            for upload in plan.pictures:
                rows.write_row((upload.path,))
        cursor.execute("CREATE TEMP TABLE numbered ON COMMIT DROP AS SELECT id, created_at, "
                       "row_number() OVER (ORDER BY id) AS number FROM prediction")


def _result(upload: Upload) -> dict[str, object]:
    """What the model said."""
    return {"kind": upload.kind, "model": "efficientnet_birds_v4", "top": [
        {"species": upload.species, "confidence": upload.confidence},
        {"species": "background", "confidence": round(1 - upload.confidence, 4)}]}
