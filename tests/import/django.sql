-- What a Django project has stored, in the tables of django_sqlite.sql or django_postgres.sql. The
-- password of ann is "apple pie", that of bob "blueberry"; carl is not active, and of the author of
-- one message the account was deleted.
INSERT INTO accounts_user
    (id, password, is_superuser, email, phone, fullname, date_joined, is_active, is_staff) VALUES
    (2, 'pbkdf2_sha256$36000$eF0eT2Wfq9vRkXyDcZ7Hqb$tiQhUmrO86M9Zy3KY+vXw5Nn4MCMm2mumikiyUvi16Y=',
    false, 'ann@example.org', '+100', 'Ann Archer', '2025-01-01 10:00:00.5', true, false),
    (4, 'pbkdf2_sha256$36000$nB4sJ1uKQwLx8ZmPt3VyRa$Ll0eX9N4FDnay+N8qT4Y3fLTI9/aMQ0MkZSfmGinaRU=',
    false, 'bob@example.org', '+200', 'Bob Baker', '2025-01-01 11:00:00', true, true),
    (7, '!tYRkZZFrlLiVw1WzcY9rTb4Tq2V', false, 'carl@example.org', '+300', 'Carl Cook',
    '2025-01-01 12:00:00', false, false);
INSERT INTO chat_room (id, type) VALUES (3, 'M'), (5, 'S'), (8, 'I');
INSERT INTO chat_room_participants (id, room_id, user_id) VALUES
    (1, 3, 2), (2, 3, 4), (3, 5, 2), (4, 8, 2), (5, 8, 7);
INSERT INTO chat_message (id, text, created_at, user_id, room_id) VALUES
    (10, 'hello bob', '2025-01-02 10:00:00.123456', 2, 3),
    (11, 'hello ann', '2025-01-02 10:01:00.999700', 4, 3),
    (13, 'is anybody there?', '2025-01-02 10:02:00.000007', 2, 5),
    (14, 'my account is gone', '2025-01-02 10:03:00', NULL, 5),
    (19, 'how are you?', '2025-01-02 10:04:00.75', 2, 3),
    (21, 'hello from carl', '2025-01-02 10:05:00', 7, 8);
INSERT INTO chat_messageattachment (id, file, created_at, message_id) VALUES
    (1, 'message_attachments/cat.png', '2025-01-02 10:00:00', 11),
    (2, 'message_attachments/paper.pdf', '2025-01-02 10:00:00', 11);
