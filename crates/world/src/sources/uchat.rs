//! uchat: users with passwords in the clear, rooms of two users, messages.

use super::database::Row;
use super::table::{Pairs, Table};
use super::values::{id, seconds};
use crate::record::{Flow, FlowKind, Member, Message, Record, User};

pub(super) const COUNT: &str = "SELECT (SELECT count(*) FROM USRS) \
     + (SELECT count(*) FROM ROOMS) + (SELECT count(*) FROM MSSGS) AS count";

const USERS: &str = "SELECT ID AS place, LOGIN AS login, PASS AS password FROM USRS \
     WHERE ID > $1 ORDER BY ID LIMIT 1000";

/// Rooms with the times of their first messages. Messages have no index by room: a page reads them
/// once, so that pages are large.
const ROOMS: &str = "WITH page AS (SELECT * FROM ROOMS WHERE ID > $1 ORDER BY ID LIMIT 10000) \
     SELECT r.ID AS place, r.NAME AS name, r.USER_ID AS user_id, r.CUSTOMER_ID AS customer, \
     m.begun FROM page r LEFT JOIN (SELECT ROOM_ID, min(DATE) AS begun FROM MSSGS \
     WHERE ROOM_ID IN (SELECT ID FROM page) GROUP BY ROOM_ID) m ON m.ROOM_ID = r.ID \
     ORDER BY r.ID";

/// Messages with an author: what the server stored before its users had written it has none. A
/// message without a time was posted after the one before.
const MESSAGES: &str = "SELECT m.ID AS place, m.USER_ID AS author, m.ROOM_ID AS room, \
     coalesce(m.DATE, (SELECT p.DATE FROM MSSGS p WHERE p.ID < m.ID AND p.DATE IS NOT NULL \
     AND p.USER_ID IS NOT NULL ORDER BY p.ID DESC LIMIT 1)) AS posted_at, m.message AS text \
     FROM MSSGS m WHERE m.ID > $1 AND m.USER_ID IS NOT NULL ORDER BY m.ID LIMIT 1000";

/// The two users of each room, with its last message.
const MEMBERS: &str = "WITH page AS (SELECT * FROM \
     (SELECT ID * 2 AS place, ID AS room, USER_ID AS user_id FROM ROOMS UNION ALL \
     SELECT ID * 2 + 1, ID, CUSTOMER_ID FROM ROOMS WHERE CUSTOMER_ID IS NOT USER_ID) \
     WHERE place > $1 ORDER BY place LIMIT 50000) \
     SELECT s.place, s.room, s.user_id, m.last FROM page s LEFT JOIN \
     (SELECT ROOM_ID, max(ID) AS last FROM MSSGS WHERE USER_ID IS NOT NULL \
     AND ROOM_ID IN (SELECT room FROM page) GROUP BY ROOM_ID) m \
     ON m.ROOM_ID = s.room ORDER BY s.place";

pub(super) fn tables() -> Vec<Table> {
    vec![
        Table::new(USERS, user),
        Table::new(ROOMS, room),
        Table::new(MESSAGES, message),
        Table::new(MEMBERS, member),
    ]
}

fn user(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    Ok(Record::User(Box::new(User {
        password: row.get("password")?,
        ..User::named(id(row.number("place")?), row.get("login")?.unwrap_or_default())
    })))
}

fn room(row: &Row, pairs: &mut Pairs) -> Result<Record, sqlx::Error> {
    let (user, customer) = (id(row.number("user_id")?), id(row.number("customer")?));
    let is_chat = pairs.is_first(user, customer);
    let title = row.get::<String>("name")?.filter(|_| !is_chat);
    Ok(Record::Flow(Flow {
        id: id(row.number("place")?),
        kind: if is_chat { FlowKind::Chat } else { FlowKind::Group },
        title: title.unwrap_or_default(),
        info: String::new(),
        owner: user,
        pair: is_chat.then_some([user, customer]),
        photo: None,
        created_at: row.get("begun")?.map(seconds),
    }))
}

fn message(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    Ok(Record::Message(Message {
        id: id(row.number("place")?),
        flow: id(row.number("room")?),
        author: id(row.number("author")?),
        text: row.get("text")?.unwrap_or_default(),
        content_type: None,
        attachments: Vec::new(),
        emoji: None,
        reply_to: None,
        posted_at: seconds(row.number("posted_at")?),
        edited_at: None,
        deleted_at: None,
    }))
}

fn member(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    Ok(Record::Member(Member {
        flow: id(row.number("room")?),
        user: id(row.number("user_id")?),
        joined_at: None,
        // The server kept no read marks: what is there counts as read.
        read: row.get("last")?.map(id),
    }))
}
