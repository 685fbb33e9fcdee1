//! uchat: users with passwords in the clear, rooms of two users, messages.

use super::error::SourceError;
use crate::id::Id;
use crate::record::{Flow, FlowKind, Member, Message, Record, User};
use crate::time::Time;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use std::collections::HashSet;
use tolmach_domain::Timestamp;

const COUNT: &str = "SELECT (SELECT count(*) FROM USRS) + (SELECT count(*) FROM ROOMS) \
     + (SELECT count(*) FROM MSSGS)";

const USERS: &str = "SELECT ID, LOGIN, PASS FROM USRS WHERE ID > ?1 ORDER BY ID LIMIT 1000";

/// Rooms with the times of their first messages and the last messages of all.
const ROOMS: &str = "SELECT r.ID, r.NAME, r.USER_ID, r.CUSTOMER_ID, \
     (SELECT min(m.DATE) FROM MSSGS m WHERE m.ROOM_ID = r.ID) AS BEGUN, \
     (SELECT max(m.ID) FROM MSSGS m WHERE m.ROOM_ID = r.ID AND m.USER_ID IS NOT NULL) AS LAST \
     FROM ROOMS r WHERE r.ID > ?1 ORDER BY r.ID LIMIT 1000";

/// Messages with an author: what the server stored before its users had written it has none.
const MESSAGES: &str = "SELECT ID, USER_ID, ROOM_ID, DATE, message FROM MSSGS \
     WHERE ID > ?1 AND USER_ID IS NOT NULL ORDER BY ID LIMIT 1000";

pub(super) async fn count(database: &mut SqliteConnection) -> Result<u64, SourceError> {
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(database).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) async fn read<E>(
    database: &mut SqliteConnection,
    take: &mut impl AsyncFnMut(Record) -> Result<(), E>,
) -> Result<Result<(), E>, SourceError> {
    let mut after = i64::MIN;
    loop {
        let rows = sqlx::query(USERS).bind(after).fetch_all(&mut *database).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get("ID")?;
        for row in rows {
            let login: Option<String> = row.try_get("LOGIN")?;
            let user = User {
                id: id(row.try_get("ID")?),
                username: None,
                name: None,
                login: login.unwrap_or_default(),
                email: None,
                phone: None,
                bio: String::new(),
                avatar: None,
                photo: None,
                bot: false,
                admin: false,
                business: false,
                profile: true,
                password: row.try_get("PASS")?,
                password_hash: None,
                created_at: None,
                deleted_at: None,
            };
            if let Err(error) = take(Record::User(Box::new(user))).await {
                return Ok(Err(error));
            }
        }
    }
    // A pair has one chat; its further rooms are groups of two.
    let (mut pairs, mut members) = (HashSet::new(), Vec::new());
    let mut after = i64::MIN;
    loop {
        let rows = sqlx::query(ROOMS).bind(after).fetch_all(&mut *database).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get("ID")?;
        for row in rows {
            let room: i64 = row.try_get("ID")?;
            let user: i64 = row.try_get::<Option<i64>, _>("USER_ID")?.unwrap_or_default();
            let customer: i64 = row.try_get::<Option<i64>, _>("CUSTOMER_ID")?.unwrap_or_default();
            let title: Option<String> = row.try_get("NAME")?;
            let begun: Option<i64> = row.try_get("BEGUN")?;
            let last: Option<i64> = row.try_get("LAST")?;
            let is_chat =
                user != customer && pairs.insert((user.min(customer), user.max(customer)));
            let flow = Flow {
                id: id(room),
                kind: if is_chat { FlowKind::Chat } else { FlowKind::Group },
                title: if is_chat { String::new() } else { title.unwrap_or_default() },
                info: String::new(),
                owner: id(user),
                pair: is_chat.then(|| [id(user), id(customer)]),
                photo: None,
                created_at: begun.map(seconds),
            };
            members.push((room, user, last));
            if user != customer {
                members.push((room, customer, last));
            }
            if let Err(error) = take(Record::Flow(flow)).await {
                return Ok(Err(error));
            }
        }
    }
    let (mut after, mut latest) = (i64::MIN, 0);
    loop {
        let rows = sqlx::query(MESSAGES).bind(after).fetch_all(&mut *database).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get("ID")?;
        for row in rows {
            // A message without a time was posted after the one before.
            latest = row.try_get::<Option<i64>, _>("DATE")?.unwrap_or(latest);
            let text: Option<String> = row.try_get("message")?;
            let message = Message {
                id: id(row.try_get("ID")?),
                flow: id(row.try_get::<Option<i64>, _>("ROOM_ID")?.unwrap_or_default()),
                author: id(row.try_get("USER_ID")?),
                text: text.unwrap_or_default(),
                content_type: None,
                attachments: Vec::new(),
                emoji: None,
                reply_to: None,
                posted_at: seconds(latest),
                edited_at: None,
                deleted_at: None,
            };
            if let Err(error) = take(Record::Message(message)).await {
                return Ok(Err(error));
            }
        }
    }
    // The server kept no read marks: what is there counts as read.
    for (room, user, last) in members {
        let member = Member { flow: id(room), user: id(user), joined_at: None, read: last.map(id) };
        if let Err(error) = take(Record::Member(member)).await {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// An id of the server; one below 0, which it never gave, as 0, which nothing has.
fn id(number: i64) -> Id {
    Id::number(number.max(0)).unwrap_or(Id(tolmach_domain::ExternalId(0)))
}

fn seconds(seconds: i64) -> Time {
    Time(Timestamp::from_micros(seconds.saturating_mul(1_000_000)))
}
