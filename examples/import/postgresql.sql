-- Turns a chat database in PostgreSQL into lines of tolmach-world/1:
--     psql -qAt -f postgresql.sql old | tolmach import -
-- The tables here are users(id, login, email, password_hash), rooms(id, name, owner_id,
-- created_at), room_members(room_id, user_id), posts(id, room_id, user_id, body, created_at), with
-- uuids for ids and timestamps with time zone.
SELECT json_build_object('world',
    json_build_object('form', 'tolmach-world/1', 'source', 'old-chat'));
SELECT json_build_object('user', json_build_object('id', id, 'login', login, 'email', email,
    'password_hash', password_hash)) FROM users ORDER BY id;
SELECT json_build_object('flow', json_build_object('id', id, 'kind', 'group', 'title', name,
    'owner', owner_id, 'created_at', created_at)) FROM rooms ORDER BY created_at;
SELECT json_build_object('message', json_build_object('id', id, 'flow', room_id, 'author', user_id,
    'text', body, 'posted_at', created_at)) FROM posts ORDER BY created_at, id;
SELECT json_build_object('member', json_build_object('flow', room_id, 'user', user_id,
    'read', (SELECT p.id FROM posts p WHERE p.room_id = m.room_id
        ORDER BY p.created_at DESC LIMIT 1)))
    FROM room_members m ORDER BY room_id, user_id;
