-- Turns a chat database in SQLite into lines of tolmach-world/1:
--     sqlite3 old.db < sqlite.sql | tolmach import -
-- The tables here are users(id, login, email, password_hash), rooms(id, name, owner_id,
-- created_at), room_members(room_id, user_id), posts(id, room_id, user_id, body, created_at), times
-- in seconds.
SELECT json_object('world', json_object('form', 'tolmach-world/1', 'source', 'old-chat'));
SELECT json_object('user', json_object('id', id, 'login', login, 'email', email,
    'password_hash', password_hash)) FROM users ORDER BY id;
SELECT json_object('flow', json_object('id', id, 'kind', 'group', 'title', name, 'owner', owner_id,
    'created_at', strftime('%Y-%m-%dT%H:%M:%SZ', created_at, 'unixepoch'))) FROM rooms ORDER BY id;
SELECT json_object('message', json_object('id', id, 'flow', room_id, 'author', user_id,
    'text', body, 'posted_at', strftime('%Y-%m-%dT%H:%M:%SZ', created_at, 'unixepoch')))
    FROM posts ORDER BY created_at, id;
SELECT json_object('member', json_object('flow', room_id, 'user', user_id,
    'read', (SELECT max(p.id) FROM posts p WHERE p.room_id = m.room_id)))
    FROM room_members m ORDER BY room_id, user_id;
