-- A database of MoreliaTalk as SQLObject makes it in SQLite: bytes are stored in base64. The
-- password of ann is "apple pie", that of bob "blueberry".
CREATE TABLE user_config (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, login TEXT NOT NULL,
    password TEXT NOT NULL, hash_password TEXT, username TEXT, is_bot BOOLEAN, auth_id TEXT,
    token_ttl INT, email TEXT, avatar TEXT, bio TEXT, salt TEXT, "key" TEXT);
CREATE TABLE flow (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, time_created INT,
    flow_type TEXT, title TEXT, info TEXT, owner TEXT);
CREATE TABLE flow_user_config (flow_id INT NOT NULL, user_config_id INT NOT NULL);
CREATE TABLE message (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, text TEXT, time INT,
    file_picture TEXT, file_video TEXT, file_audio TEXT, file_document TEXT, emoji TEXT,
    edited_time INT, edited_status BOOLEAN, user_id INT, flow_id INT);
INSERT INTO user_config VALUES (1, '226744961046384216041563213987455229431', 'ann',
    '', '95961e7b1f58889999bb5ff96b87e9c1485d174e126eb81b1a68785929a70689',
    'Ann', 0, NULL, NULL, 'ann@example.org', NULL, 'of Ann',
    'ZWZnaGlqa2xtbm9wcXJzdA==', 'AQIDBAUGBwgJCgsMDQ4PEBESExQ=');
INSERT INTO user_config VALUES (2, '55314905170153905083210917493651284413', 'bob',
    '', 'b9ea05befd2760f17bf7e19814d2d4c127114bc3cd815df8ae8b0b6f818909ee',
    'Bob', 0, NULL, NULL, 'bob@example.org', NULL, 'of Bob',
    'ZmdoaWprbG1ub3BxcnN0dQ==', 'AgMEBQYHCAkKCwwNDg8QERITFBU=');
INSERT INTO user_config VALUES (3, '81129638414606663390960213128447160325', 'User deleted',
    '190241', '190241', 'User deleted', 0, '190241', NULL, '', '', 'deleted', 'ZGVsZXRlZA==',
    'ZGVsZXRlZA==');
INSERT INTO flow VALUES (1, '171350188461286461286412864812648126481', 1600000000, 'group',
    'Friends', 'of the old server', '226744961046384216041563213987455229431');
INSERT INTO flow_user_config VALUES (1, 1), (1, 2);
INSERT INTO message VALUES
    (1, '90000000000000000000000000000000000001', 'hello', 1600000000, '', '', '', '', '',
    NULL, 0, 1, 1),
    (2, '80000000000000000000000000000000000002', 'hello ann', 1600000060, 'UVVKRA==', '', '', '',
    '', 1600000070, 1, 2, 1),
    (3, '70000000000000000000000000000000000003', 'goodbye', 1600000080, '', '', '', '', '',
    NULL, 0, 3, 1);
