-- The tables of MoreliaTalk as SQLObject makes them in PostgreSQL.
CREATE TABLE user_config (id serial PRIMARY KEY, uuid text NOT NULL UNIQUE, login text NOT NULL,
    password text NOT NULL, hash_password text, username text, is_bot bool, auth_id text,
    token_ttl int, email text, avatar bytea, bio text, salt bytea, key bytea);
CREATE TABLE flow (id serial PRIMARY KEY, uuid text NOT NULL UNIQUE, time_created int,
    flow_type text, title text, info text, owner text);
CREATE TABLE flow_user_config (flow_id int NOT NULL, user_config_id int NOT NULL);
CREATE TABLE message (id serial PRIMARY KEY, uuid text NOT NULL UNIQUE, text text, time int,
    file_picture bytea, file_video bytea, file_audio bytea, file_document bytea, emoji bytea,
    edited_time int, edited_status bool, user_id int REFERENCES user_config,
    flow_id int REFERENCES flow);
INSERT INTO user_config VALUES (1, '226744961046384216041563213987455229431', 'ann',
    '', '95961e7b1f58889999bb5ff96b87e9c1485d174e126eb81b1a68785929a70689',
    'Ann', false, NULL, NULL, 'ann@example.org', NULL, 'of Ann',
    decode('ZWZnaGlqa2xtbm9wcXJzdA==', 'base64'),
    decode('AQIDBAUGBwgJCgsMDQ4PEBESExQ=', 'base64'));
INSERT INTO user_config VALUES (2, '55314905170153905083210917493651284413', 'bob',
    '', 'b9ea05befd2760f17bf7e19814d2d4c127114bc3cd815df8ae8b0b6f818909ee',
    'Bob', false, NULL, NULL, 'bob@example.org', NULL, 'of Bob',
    decode('ZmdoaWprbG1ub3BxcnN0dQ==', 'base64'),
    decode('AgMEBQYHCAkKCwwNDg8QERITFBU=', 'base64'));
INSERT INTO user_config VALUES (3, '81129638414606663390960213128447160325', 'User deleted',
    '190241', '190241', 'User deleted', false, '190241', NULL, '', '', 'deleted', 'deleted',
    'deleted');
INSERT INTO flow VALUES (1, '171350188461286461286412864812648126481', 1600000000, 'group',
    'Friends', 'of the old server', '226744961046384216041563213987455229431');
INSERT INTO flow_user_config VALUES (1, 1), (1, 2);
INSERT INTO message VALUES
    (1, '90000000000000000000000000000000000001', 'hello', 1600000000, '', '', '', '', '',
    NULL, false, 1, 1),
    (2, '80000000000000000000000000000000000002', 'hello ann', 1600000060, 'QUJD', '', '', '',
    '', 1600000070, true, 2, 1),
    (3, '70000000000000000000000000000000000003', 'goodbye', 1600000080, '', '', '', '', '',
    NULL, false, 3, 1);
