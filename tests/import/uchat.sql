-- A database of uchat as its server makes it, with two rooms. The message without an author is
-- what the server stores before it has written the rest.
CREATE TABLE USRS (ID INT PRIMARY KEY, LOGIN TEXT, PASS TEXT);
CREATE TABLE ROOMS
    (ID INTEGER PRIMARY KEY NOT NULL, NAME TEXT, USER_ID INT, CUSTOMER_ID INT);
CREATE TABLE MSSGS
    (ID INTEGER PRIMARY KEY NOT NULL, USER_ID INT, ROOM_ID INT, DATE INT, message TEXT);
INSERT INTO USRS VALUES
    (3, 'ann', 'apple pie'), (5, 'bob', 'blueberry'), (8, 'carl', 'cherry cake');
INSERT INTO ROOMS VALUES (4, NULL, 3, 5), (9, NULL, 8, 3);
INSERT INTO MSSGS VALUES
    (11, 3, 4, 1600000000, 'hello bob'),
    (12, 5, 4, 1600000060, 'hello ann'),
    (13, 8, 9, 1600000060, 'привет'),
    (14, NULL, 9, NULL, NULL),
    (20, 3, 4, 1600000120, 'how are you?');
