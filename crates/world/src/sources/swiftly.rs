//! Swiftly: the PostgreSQL databases of its login service and of its chat service. Chats and groups
//! have numbers of their own, and so have their messages.

use super::database::{Database, Row};
use super::error::SourceError;
use super::scope::Scope;
use super::table::{Page, Pairs, Table};
use super::values::{NOTHING, id, micros, text_with_files};
use crate::id::Id;
use crate::record::{Flow, FlowKind, Member, Message, Record, User};
use std::collections::BTreeMap;

const COUNT: &str = "SELECT (SELECT count(*) FROM chats) + (SELECT count(*) FROM groups) \
     + (SELECT count(*) FROM chat_messages) + (SELECT count(*) FROM group_messages) AS count";

const COUNT_ACCOUNTS: &str = "SELECT count(*) AS count FROM users";

/// The rows of a full page of accounts or of profiles.
const USERS_PAGE: usize = 1_000;

const ACCOUNTS: &str = "SELECT CAST(id AS BIGINT) AS place, email, number, password_hash \
     FROM users WHERE id > $1 ORDER BY id LIMIT 1000";

const PROFILES: &str = "SELECT CAST(id AS BIGINT) AS place, name, username, description, \
     CAST(EXTRACT(EPOCH FROM created_at) * 1000000 AS BIGINT) AS created_at \
     FROM users WHERE id > $1 ORDER BY id LIMIT 1000";

const CHATS: &str = "WITH page AS (SELECT * FROM chats WHERE id > $1 ORDER BY id LIMIT 10000) \
     SELECT CAST(c.id AS BIGINT) AS place, c.name, \
     CAST(EXTRACT(EPOCH FROM c.created_at) * 1000000 AS BIGINT) AS created_at, \
     u.one, u.other, u.users FROM page c LEFT JOIN \
     (SELECT chat_id, min(user_id) AS one, max(user_id) AS other, count(*) AS users \
     FROM chat_users WHERE chat_id IN (SELECT id FROM page) GROUP BY chat_id) u \
     ON u.chat_id = c.id ORDER BY c.id";

/// Groups, which have no time of creation, with the times of their first messages.
const GROUPS: &str = "WITH page AS (SELECT * FROM groups WHERE id > $1 ORDER BY id LIMIT 10000) \
     SELECT CAST(g.id AS BIGINT) AS place, g.name, g.description, g.owner_id, \
     CAST(EXTRACT(EPOCH FROM m.begun) * 1000000 AS BIGINT) AS created_at FROM page g LEFT JOIN \
     (SELECT group_id, min(sent_at) AS begun FROM group_messages \
     WHERE group_id IN (SELECT id FROM page) GROUP BY group_id) m \
     ON m.group_id = g.id ORDER BY g.id";

/// The open databases.
pub(super) struct Swiftly {
    accounts: Database,
    chats: Database,
    tables: Vec<Table>,
}

impl Swiftly {
    /// Opens the databases of the login service and then of the chat service: the profiles are as
    /// of the later time, so that an account whose sign-up ended in between has its profile.
    pub(super) async fn open(accounts: &str, chats: &str) -> Result<Self, SourceError> {
        let accounts = Database::open(accounts).await?;
        let chats = Database::open(chats).await?;
        let tables = vec![
            Table::new(CHATS, chat),
            Table::new(GROUPS, group),
            Table::new(messages("chat"), |row, _| message(row, id)),
            Table::new(messages("group"), |row, _| message(row, group_id)),
            Table::unordered(members("chat"), |row, _| member(row, id)),
            Table::unordered(members("group"), |row, _| member(row, group_id)),
        ];
        Ok(Self { accounts, chats, tables })
    }

    pub(super) async fn count(&mut self) -> Result<u64, SourceError> {
        Ok(self.accounts.count(COUNT_ACCOUNTS).await? + self.chats.count(COUNT).await?)
    }

    /// Reads a page of the table with this index; `None` after the last table. The users are the
    /// first table.
    pub(super) async fn page(
        &mut self,
        table: usize,
        after: i64,
        scope: Scope,
        pairs: &mut Pairs,
    ) -> Result<Option<Page>, SourceError> {
        let Some(table) = table.checked_sub(1) else {
            return self.users(after, scope).await.map(Some);
        };
        let Some(table) = self.tables.get(table) else { return Ok(None) };
        table.page(&mut self.chats, after, pairs).await.map(Some)
    }

    /// See [`Table::is_ascending`]; the users are the first table.
    pub(super) fn is_ascending(&self, table: usize) -> bool {
        let table = table.checked_sub(1).and_then(|table| self.tables.get(table));
        table.is_none_or(|table| table.is_ascending)
    }

    pub(super) async fn close(self) -> Result<(), SourceError> {
        self.accounts.close().await?;
        self.chats.close().await
    }

    /// Reads accounts together with the profiles of the same users. While the server runs, a user
    /// without one of them may be about to have it, and is left out.
    async fn users(&mut self, after: i64, scope: Scope) -> Result<Page, SourceError> {
        let accounts = self.accounts.rows(ACCOUNTS, &[after]).await?;
        let profiles = self.chats.rows(PROFILES, &[after]).await?;
        // Beyond the end of a full page there may be further rows of the same table.
        let mut end = i64::MAX;
        for rows in [&accounts, &profiles] {
            if let Some(last) = rows.last().filter(|_| rows.len() == USERS_PAGE) {
                end = end.min(last.number("place")?);
            }
        }
        let mut users: BTreeMap<i64, [Option<Row>; 2]> = BTreeMap::new();
        for (side, rows) in [accounts, profiles].into_iter().enumerate() {
            for row in rows {
                let user = users.entry(row.number("place")?).or_default();
                user[side] = Some(row);
            }
        }
        let mut page = Page::default();
        for (place, [account, profile]) in users.range(..=end) {
            page.last = Some(*place);
            if scope != Scope::Whole && (account.is_none() || profile.is_none()) {
                continue;
            }
            page.records.push((*place, user(*place, account.as_ref(), profile.as_ref())?));
        }
        Ok(page)
    }
}

/// Messages of chats or of groups, with the addresses of their files, one a line.
fn messages(kind: &str) -> String {
    format!(
        "WITH page AS (SELECT * FROM {kind}_messages WHERE id > $1 ORDER BY id LIMIT 1000) \
         SELECT CAST(p.id AS BIGINT) AS place, p.{kind}_id AS flow, p.user_id AS author, p.text, \
         p.edited, CAST(EXTRACT(EPOCH FROM p.sent_at) * 1000000 AS BIGINT) AS sent_at, f.files \
         FROM page p LEFT JOIN (SELECT l.{kind}_message_id AS id, \
         string_agg(u.file_url, '\n' ORDER BY u.id) AS files FROM {kind}_messages_file_urls l \
         JOIN {kind}_file_urls u ON u.id = l.{kind}_file_id \
         WHERE l.{kind}_message_id IN (SELECT id FROM page) GROUP BY l.{kind}_message_id) f \
         ON f.id = p.id ORDER BY p.id"
    )
}

/// Members of chats or of groups, with the last messages of others that are marked as read. The
/// place is made of both ids, which have 32 bits.
fn members(kind: &str) -> String {
    format!(
        "WITH page AS (SELECT {kind}_id, user_id FROM {kind}_users \
         WHERE ({kind}_id, user_id) > ($1 >> 32, $1 & 4294967295) \
         ORDER BY {kind}_id, user_id LIMIT 50000) \
         SELECT u.{kind}_id * 4294967296 + u.user_id AS place, u.{kind}_id AS flow, \
         u.user_id AS member, max(CAST(r.id AS BIGINT)) AS last FROM page u LEFT JOIN \
         (SELECT {kind}_id, user_id, max(id) AS id FROM {kind}_messages WHERE read \
         AND {kind}_id IN (SELECT {kind}_id FROM page) GROUP BY {kind}_id, user_id) r \
         ON r.{kind}_id = u.{kind}_id AND r.user_id <> u.user_id \
         GROUP BY u.{kind}_id, u.user_id ORDER BY u.{kind}_id, u.user_id"
    )
}

fn user(place: i64, account: Option<&Row>, profile: Option<&Row>) -> Result<Record, sqlx::Error> {
    let text = |row: Option<&Row>, column| row.map_or(Ok(None), |row| row.text(column));
    let (email, number) = (text(account, "email")?, text(account, "number")?);
    let username = text(profile, "username")?;
    // A client logs in by the address or by the number.
    let login =
        email.as_ref().or(number.as_ref()).or(username.as_ref()).cloned().unwrap_or_default();
    let created_at = profile.map_or(Ok(None), |row| row.get("created_at"))?;
    Ok(Record::User(Box::new(User {
        username,
        name: text(profile, "name")?,
        email,
        phone: number,
        bio: text(profile, "description")?.unwrap_or_default(),
        profile: profile.is_some(),
        password_hash: text(account, "password_hash")?,
        created_at: created_at.map(micros),
        ..User::named(id(place), login)
    })))
}

fn chat(row: &Row, pairs: &mut Pairs) -> Result<Record, sqlx::Error> {
    let one = row.get("one")?.map_or(NOTHING, id);
    let other = row.get("other")?.map_or(NOTHING, id);
    // A chat of more or fewer than two, or a second one of a pair, is a group.
    let is_chat = row.number("users")? == 2 && pairs.is_first(one, other);
    let title = row.text("name")?.filter(|_| !is_chat);
    Ok(Record::Flow(Flow {
        id: id(row.number("place")?),
        kind: if is_chat { FlowKind::Chat } else { FlowKind::Group },
        title: title.unwrap_or_default(),
        info: String::new(),
        owner: one,
        pair: is_chat.then_some([one, other]),
        photo: None,
        created_at: row.get("created_at")?.map(micros),
    }))
}

fn group(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    Ok(Record::Flow(Flow {
        id: group_id(row.number("place")?),
        kind: FlowKind::Group,
        title: row.text("name")?.unwrap_or_default(),
        info: row.text("description")?.unwrap_or_default(),
        owner: id(row.number("owner_id")?),
        pair: None,
        photo: None,
        created_at: row.get("created_at")?.map(micros),
    }))
}

fn message(row: &Row, of_kind: fn(i64) -> Id) -> Result<Record, sqlx::Error> {
    let sent_at = micros(row.number("sent_at")?);
    Ok(Record::Message(Message {
        id: of_kind(row.number("place")?),
        flow: of_kind(row.number("flow")?),
        author: id(row.number("author")?),
        text: text_with_files(row.get("text")?, row.get("files")?),
        content_type: None,
        attachments: Vec::new(),
        emoji: None,
        reply_to: None,
        posted_at: sent_at,
        // The server kept no time of it.
        edited_at: row.flag("edited")?.then_some(sent_at),
        deleted_at: None,
    }))
}

fn member(row: &Row, of_kind: fn(i64) -> Id) -> Result<Record, sqlx::Error> {
    Ok(Record::Member(Member {
        flow: of_kind(row.number("flow")?),
        user: id(row.number("member")?),
        joined_at: None,
        read: row.get("last")?.map(of_kind),
    }))
}

/// The id of a group or of a message in one.
fn group_id(number: i64) -> Id {
    Id::of_group(number).unwrap_or(NOTHING)
}
