-- The tables of a Django project as Django makes them in SQLite.
CREATE TABLE accounts_user (id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    password varchar(128) NOT NULL, last_login datetime NULL, is_superuser bool NOT NULL,
    email varchar(254) NOT NULL UNIQUE, phone varchar(12) NOT NULL, fullname varchar(512) NOT NULL,
    date_joined datetime NOT NULL, is_active bool NOT NULL, is_staff bool NOT NULL);
CREATE TABLE chat_room (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, type varchar(1) NOT NULL);
CREATE TABLE chat_room_participants (id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    room_id bigint NOT NULL REFERENCES chat_room, user_id bigint NOT NULL REFERENCES accounts_user);
CREATE TABLE chat_message (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, text text NOT NULL,
    created_at datetime NOT NULL, user_id bigint NULL REFERENCES accounts_user,
    room_id bigint NOT NULL REFERENCES chat_room);
CREATE TABLE chat_messageattachment (id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    file varchar(100) NOT NULL, created_at datetime NOT NULL,
    message_id bigint NULL REFERENCES chat_message);
