-- A database of Swiftly's chat service, whose chats and groups have the same numbers, and so have
-- their messages.
CREATE TABLE users (id integer PRIMARY KEY, name varchar(100) NOT NULL,
    username varchar(50) NOT NULL UNIQUE, description varchar(200) NOT NULL, avatar_url text,
    password_hash text NOT NULL, created_at timestamp DEFAULT now());
CREATE TABLE chats (id serial PRIMARY KEY, name varchar(100) NOT NULL,
    created_at timestamp DEFAULT now());
CREATE TABLE chat_users (chat_id bigint NOT NULL REFERENCES chats, user_id bigint NOT NULL
    REFERENCES users, PRIMARY KEY (chat_id, user_id));
CREATE TABLE groups (id serial PRIMARY KEY, name varchar(100) NOT NULL,
    description varchar(200) NOT NULL, owner_id bigint NOT NULL REFERENCES users);
CREATE TABLE group_users (group_id bigint NOT NULL REFERENCES groups, user_id bigint NOT NULL
    REFERENCES users, PRIMARY KEY (group_id, user_id));
CREATE TABLE chat_messages (id serial PRIMARY KEY, chat_id bigint NOT NULL REFERENCES chats,
    user_id bigint NOT NULL REFERENCES users, text text NOT NULL, read boolean DEFAULT false,
    edited boolean DEFAULT false, sent_at timestamp DEFAULT now());
CREATE TABLE chat_file_urls (id serial PRIMARY KEY, chat_id bigint NOT NULL
    REFERENCES chat_messages, file_url text);
CREATE TABLE chat_messages_file_urls (id serial PRIMARY KEY, chat_message_id bigint NOT NULL
    REFERENCES chat_messages, chat_file_id bigint NOT NULL REFERENCES chat_file_urls);
CREATE TABLE group_messages (id serial PRIMARY KEY, group_id bigint NOT NULL REFERENCES groups,
    user_id bigint NOT NULL REFERENCES users, text text NOT NULL, read boolean DEFAULT false,
    edited boolean DEFAULT false, sent_at timestamp DEFAULT now());
CREATE TABLE group_file_urls (id serial PRIMARY KEY, group_id bigint NOT NULL
    REFERENCES group_messages, file_url text);
CREATE TABLE group_messages_file_urls (id serial PRIMARY KEY, group_message_id bigint NOT NULL
    REFERENCES group_messages, group_file_id bigint NOT NULL REFERENCES group_file_urls);
INSERT INTO users VALUES
    (1, 'Ann Archer', 'ann', 'about Ann', NULL, '', '2025-01-01 10:00:00'),
    (2, 'Bob Baker', 'bob', 'about Bob', NULL, '', '2025-01-01 11:00:00'),
    (3, 'Carl Cook', 'carl', '', NULL, '', '2025-01-01 12:00:00');
INSERT INTO chats (name, created_at) VALUES
    ('Ann Archer и Bob Baker', '2025-01-02 10:00:00'),
    ('Ann Archer и Carl Cook', '2025-01-02 11:00:00');
INSERT INTO chat_users VALUES (1, 1), (1, 2), (2, 1), (2, 3);
INSERT INTO groups (name, description, owner_id) VALUES ('Friends', 'all of us', 2);
INSERT INTO group_users VALUES (1, 1), (1, 2), (1, 3);
INSERT INTO chat_messages (chat_id, user_id, text, read, edited, sent_at) VALUES
    (1, 1, 'hello bob', true, false, '2025-01-03 10:00:00.123456'),
    (1, 2, 'hello ann', false, true, '2025-01-03 10:01:00'),
    (2, 3, 'hello from carl', false, false, '2025-01-03 10:03:00');
INSERT INTO group_messages (group_id, user_id, text, sent_at) VALUES
    (1, 2, 'welcome', '2025-01-03 10:02:00'),
    (1, 1, 'thank you', '2025-01-03 10:04:00');
INSERT INTO chat_file_urls (chat_id, file_url) VALUES (1, 'storage/chats/1/photos/cat.png');
INSERT INTO chat_messages_file_urls (chat_message_id, chat_file_id) VALUES (2, 1);
