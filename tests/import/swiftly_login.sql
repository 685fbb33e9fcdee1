-- A database of Swiftly's login service. The password of ann is "apple pie", that of bob
-- "blueberry", that of carl, who has no address, "cherry cake". Dora has no profile yet.
CREATE TABLE users (id serial PRIMARY KEY, email varchar(100), number varchar(100) NOT NULL UNIQUE,
    password_hash text NOT NULL);
INSERT INTO users (email, number, password_hash) VALUES
    ('ann@example.org', '+100', '$2a$10$N9qo8uLOickgx2ZMRZoMyeyZbNh8HGa8Il9e0PtVt1lMpLuSNMhyC'),
    ('bob@example.org', '+200', '$2a$10$7EqJtq98hPqEX7fNZaFWoOmlb058YKo/jR6uiIgJozgo78B53oSKa'),
    (NULL, '+300', '$2a$10$zVHmKQtGGQob.b/Nc7l9NOtJTMoVj8lHgAHszK7NIjHeFKcFjnO/u'),
    ('dora@example.org', '+400', '$2a$10$7EqJtq98hPqEX7fNZaFWoOmlb058YKo/jR6uiIgJozgo78B53oSKa');
