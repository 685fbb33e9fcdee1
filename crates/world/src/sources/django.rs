//! A Django project: users of a model of its own, rooms with participants, messages with attached
//! files, in SQLite or PostgreSQL. The names of tables and columns can be told.

use super::database::{Database, Row};
use super::names::Names;
use super::table::{Pairs, Table};
use super::values::{NOTHING, id, micros, text_with_files};
use crate::id::Id;
use crate::record::{Flow, FlowKind, Member, Message, Record, User};
use tolmach_domain::ExternalId;

/// The author of messages whose user was deleted, which Django leaves without one.
const DELETED: Id = Id(ExternalId(u128::MAX));

/// Makes the statements for one database and its names.
struct Statements<'a> {
    names: &'a Names,
    is_sqlite: bool,
}

/// The statement that counts the rows that records are made of.
pub(super) fn count(names: &Names) -> String {
    let tables = ["user", "room", "message"].map(|table| {
        let table = names.get(table).unwrap_or_default();
        format!("(SELECT count(*) FROM {table})")
    });
    format!("SELECT {} AS count", tables.join(" + "))
}

pub(super) fn tables(names: &Names, database: &Database) -> Vec<Table> {
    let statements = Statements { names, is_sqlite: database.is_sqlite() };
    vec![
        Table::new(statements.users(), user),
        Table::new(statements.deleted_author(), deleted_author),
        Table::new(statements.rooms(), room),
        Table::new(statements.messages(), message),
        Table::new(statements.members(), member),
    ]
}

impl Statements<'_> {
    /// A table or column that must be there; empty otherwise, which the database refuses.
    fn name(&self, key: &str) -> String {
        self.names.get(key).unwrap_or_default()
    }

    /// A column of a type; NULL if it is not there. The letter of its table begins its key.
    fn column(&self, key: &str, sql_type: &str) -> String {
        let alias = &key[..1];
        match self.names.get(key) {
            Some(name) => format!("CAST({alias}.{name} AS {sql_type})"),
            None => format!("CAST(NULL AS {sql_type})"),
        }
    }

    /// A column of times in microseconds since 1970. Django writes them to SQLite as texts in UTC,
    /// with six digits of the second's fraction or none. The fraction is cut off for `strftime`,
    /// which rounds it.
    fn time(&self, key: &str) -> String {
        let alias = &key[..1];
        match self.names.get(key) {
            None => "CAST(NULL AS BIGINT)".to_owned(),
            Some(name) if self.is_sqlite => format!(
                "CAST(strftime('%s', substr({alias}.{name}, 1, 19)) AS BIGINT) * 1000000 \
                 + CAST(substr(substr({alias}.{name}, 21) || '000000', 1, 6) AS BIGINT)"
            ),
            Some(name) => {
                format!("CAST(EXTRACT(EPOCH FROM {alias}.{name}) * 1000000 AS BIGINT)")
            }
        }
    }

    fn users(&self) -> String {
        format!(
            "SELECT {place} AS place, {login} AS login, {username} AS username, {name} AS name, \
             {email} AS email, {phone} AS phone, {password} AS password, {active} AS active, \
             {admin} AS admin, {created_at} AS created_at FROM {table} u \
             WHERE u.{id} > $1 ORDER BY u.{id} LIMIT 1000",
            place = self.column("user.id", "BIGINT"),
            login = self.column("user.login", "TEXT"),
            username = self.column("user.username", "TEXT"),
            name = self.column("user.name", "TEXT"),
            email = self.column("user.email", "TEXT"),
            phone = self.column("user.phone", "TEXT"),
            password = self.column("user.password", "TEXT"),
            active = self.column("user.active", "BOOLEAN"),
            admin = self.column("user.admin", "BOOLEAN"),
            created_at = self.time("user.created_at"),
            table = self.name("user"),
            id = self.name("user.id"),
        )
    }

    /// One row if any message is without a user.
    fn deleted_author(&self) -> String {
        format!(
            "SELECT CAST(1 AS BIGINT) AS place FROM {table} m \
             WHERE m.{user} IS NULL AND $1 < 1 LIMIT 1",
            table = self.name("message"),
            user = self.name("message.user"),
        )
    }

    /// Rooms with two of their participants, and with the times of their first messages.
    fn rooms(&self) -> String {
        format!(
            "WITH page AS (SELECT * FROM {table} WHERE {id} > $1 ORDER BY {id} LIMIT 10000) \
             SELECT {place} AS place, {title} AS title, {owner} AS owner, \
             coalesce({created_at}, f.begun) AS created_at, CAST(p.one AS BIGINT) AS one, \
             CAST(p.other AS BIGINT) AS other, p.participants FROM page r LEFT JOIN \
             (SELECT {room} AS room, min({user}) AS one, max({user}) AS other, \
             count(DISTINCT {user}) AS participants FROM {participants} \
             WHERE {room} IN (SELECT {id} FROM page) GROUP BY {room}) p \
             ON p.room = r.{id} LEFT JOIN \
             (SELECT m.{message_room} AS room, min({posted_at}) AS begun FROM {messages} m \
             WHERE m.{message_room} IN (SELECT {id} FROM page) GROUP BY m.{message_room}) f \
             ON f.room = r.{id} ORDER BY r.{id}",
            place = self.column("room.id", "BIGINT"),
            title = self.column("room.title", "TEXT"),
            owner = self.column("room.owner", "BIGINT"),
            created_at = self.time("room.created_at"),
            table = self.name("room"),
            room = self.name("participant.room"),
            user = self.name("participant.user"),
            participants = self.name("participant"),
            id = self.name("room.id"),
            message_room = self.name("message.room"),
            posted_at = self.time("message.created_at"),
            messages = self.name("message"),
        )
    }

    /// Messages with the names of their files, one a line.
    fn messages(&self) -> String {
        let files = match self.names.get("attachment") {
            None => "CAST(NULL AS TEXT)".to_owned(),
            Some(table) => format!(
                "(SELECT string_agg({file}, '\n' ORDER BY a.{id}) FROM {table} a \
                 WHERE a.{message} = m.{message_id})",
                file = self.column("attachment.file", "TEXT"),
                id = self.name("attachment.id"),
                message = self.name("attachment.message"),
                message_id = self.name("message.id"),
            ),
        };
        format!(
            "SELECT {place} AS place, {room} AS room, {user} AS author, {text} AS text, \
             {created_at} AS posted_at, {edited_at} AS edited_at, {files} AS files \
             FROM {table} m WHERE m.{id} > $1 ORDER BY m.{id} LIMIT 1000",
            place = self.column("message.id", "BIGINT"),
            room = self.column("message.room", "BIGINT"),
            user = self.column("message.user", "BIGINT"),
            text = self.column("message.text", "TEXT"),
            created_at = self.time("message.created_at"),
            edited_at = self.time("message.edited_at"),
            table = self.name("message"),
            id = self.name("message.id"),
        )
    }

    /// Participants who are active, with the last messages of their rooms.
    fn members(&self) -> String {
        let active = match self.names.get("user.active") {
            Some(active) => format!("AND u.{active}"),
            None => String::new(),
        };
        format!(
            "WITH page AS (SELECT {place} AS place, {room} AS room, {user} AS member \
             FROM {table} p JOIN {users} u ON u.{user_id} = p.{participant} {active} \
             WHERE p.{id} > $1 ORDER BY p.{id} LIMIT 50000) \
             SELECT p.place, p.room, p.member, CAST(l.last AS BIGINT) AS last FROM page p \
             LEFT JOIN (SELECT {message_room} AS room, max({message_id}) AS last \
             FROM {messages} WHERE {message_room} IN (SELECT room FROM page) \
             GROUP BY {message_room}) l ON l.room = p.room ORDER BY p.place",
            place = self.column("participant.id", "BIGINT"),
            room = self.column("participant.room", "BIGINT"),
            user = self.column("participant.user", "BIGINT"),
            table = self.name("participant"),
            users = self.name("user"),
            user_id = self.name("user.id"),
            participant = self.name("participant.user"),
            message_room = self.name("message.room"),
            message_id = self.name("message.id"),
            messages = self.name("message"),
            id = self.name("participant.id"),
        )
    }
}

fn user(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    let created_at = row.get("created_at")?.map(micros);
    let is_active = row.get("active")?.unwrap_or(true);
    // A hash that begins with an exclamation mark is that of no password.
    let hash = row.text("password")?.filter(|hash| !hash.starts_with('!'));
    Ok(Record::User(Box::new(User {
        username: row.text("username")?,
        name: row.text("name")?,
        email: row.text("email")?,
        phone: row.text("phone")?,
        admin: row.flag("admin")?,
        password_hash: hash,
        created_at,
        // Django keeps no time of it.
        deleted_at: (!is_active).then(|| created_at.unwrap_or(micros(0))),
        ..User::named(id(row.number("place")?), row.text("login")?.unwrap_or_default())
    })))
}

fn deleted_author(_: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    Ok(Record::User(Box::new(User {
        created_at: Some(micros(0)),
        deleted_at: Some(micros(0)),
        ..User::named(DELETED, "deleted-user".to_owned())
    })))
}

fn room(row: &Row, pairs: &mut Pairs) -> Result<Record, sqlx::Error> {
    let one = row.get("one")?.map_or(NOTHING, id);
    let other = row.get("other")?.map_or(NOTHING, id);
    let is_chat = row.number("participants")? == 2 && pairs.is_first(one, other);
    Ok(Record::Flow(Flow {
        id: id(row.number("place")?),
        kind: if is_chat { FlowKind::Chat } else { FlowKind::Group },
        title: row.text("title")?.unwrap_or_default(),
        info: String::new(),
        owner: row.get("owner")?.map_or(one, id),
        pair: is_chat.then_some([one, other]),
        photo: None,
        created_at: row.get("created_at")?.map(micros),
    }))
}

fn message(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    Ok(Record::Message(Message {
        id: id(row.number("place")?),
        flow: id(row.number("room")?),
        author: row.get("author")?.map_or(DELETED, id),
        text: text_with_files(row.get("text")?, row.get("files")?),
        content_type: None,
        attachments: Vec::new(),
        emoji: None,
        reply_to: None,
        posted_at: micros(row.number("posted_at")?),
        edited_at: row.get("edited_at")?.map(micros),
        deleted_at: None,
    }))
}

fn member(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    Ok(Record::Member(Member {
        flow: id(row.number("room")?),
        user: id(row.number("member")?),
        joined_at: None,
        // The server kept no read marks: what is there counts as read.
        read: row.get("last")?.map(id),
    }))
}
