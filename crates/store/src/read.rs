//! Reading: each method sees one moment of the database.

use crate::batch::last_moment;
use crate::entities::{flow, member, recovery, session, user};
use crate::error::{corrupt, refuse};
use crate::journal;
use crate::rows::{
    flow as to_flow, flow_id, key, message as to_message, message_id, moment,
    session as to_session, user as to_user,
};
use crate::sql::{self, Part, Scope, get};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Value,
};
use std::collections::HashMap;
use tolmach_domain::{
    Changes, Fault, Flow, FlowId, FlowKind, FlowSummary, HistoryRange, Message, MessagePage,
    SessionId, Timestamp, User, UserId, Version,
};
use tolmach_engine::check_storable;
use tolmach_engine::ports::{
    Account, AccountKey, ChangesPage, Counter, CounterKey, FlowSummaryQuery, HistoryQuery, Session,
    StoreError, TokenHash,
};

/// The row of which there is one at most, by a key. Asked for with a limit, which would be a
/// parameter, SQLite would prepare the statement anew each time.
fn only<T>(found: Result<Vec<T>, DbErr>) -> Result<Option<T>, StoreError> {
    Ok(found.map_err(refuse)?.pop())
}

pub(crate) async fn user<C: ConnectionTrait>(
    database: &C,
    id: UserId,
) -> Result<Option<User>, StoreError> {
    only(user::Entity::find_by_id(id.get()).all(database).await)?.map(to_user).transpose()
}

pub(crate) async fn account<C: ConnectionTrait>(
    database: &C,
    account: AccountKey<'_>,
) -> Result<Option<Account>, StoreError> {
    let columns: &[(user::Column, &str)] = match account {
        AccountKey::Login(login) => &[(user::Column::LoginKey, login)],
        AccountKey::Email(email) => &[(user::Column::EmailKey, email)],
        AccountKey::Either(text) => {
            &[(user::Column::LoginKey, text), (user::Column::EmailKey, text)]
        }
    };
    for (column, value) in
        columns.iter().filter(|(_, value)| check_storable("login", value).is_ok())
    {
        let found = user::Entity::find()
            .filter(column.eq(key(value)))
            .filter(user::Column::DeletedAt.is_null());
        if let Some(mut found) = only(found.all(database).await)? {
            let password_hash = found.password_hash.take();
            return Ok(Some(Account { user: to_user(found)?, password_hash }));
        }
    }
    Ok(None)
}

pub(crate) async fn search_users<C: ConnectionTrait>(
    database: &C,
    query: &str,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    if check_storable("query", query).is_err() {
        return Ok(Vec::new());
    }
    let mut pattern = String::from("%");
    for letter in key(query).chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    let sql = "SELECT * FROM \"user\" WHERE login_key LIKE $1 ESCAPE '\\' AND deleted_at IS NULL ORDER BY login_key LIMIT $2";
    let rows = sql::rows(database, sql, vec![pattern.into(), i64::from(limit).into()]).await?;
    rows.iter()
        .map(|row| user::Model::from_query_result(row, "").map_err(refuse).and_then(to_user))
        .collect()
}

pub(crate) async fn list_users<C: ConnectionTrait>(
    database: &C,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    let users = user::Entity::find()
        .filter(user::Column::Id.gt(after.map_or(0, UserId::get)))
        .filter(user::Column::DeletedAt.is_null());
    let users = users
        .order_by_asc(user::Column::Id)
        .limit(u64::from(limit))
        .all(database)
        .await
        .map_err(refuse)?;
    users.into_iter().map(to_user).collect()
}

pub(crate) async fn session_by_token<C: ConnectionTrait>(
    database: &C,
    token: TokenHash,
) -> Result<Option<Session>, StoreError> {
    let found = session::Entity::find().filter(session::Column::TokenHash.eq(token.0.to_vec()));
    only(found.all(database).await)?.map(to_session).transpose()
}

pub(crate) async fn session<C: ConnectionTrait>(
    database: &C,
    id: SessionId,
) -> Result<Option<Session>, StoreError> {
    only(session::Entity::find_by_id(id.get()).all(database).await)?.map(to_session).transpose()
}

pub(crate) async fn is_recovery_token_valid<C: ConnectionTrait>(
    database: &C,
    token: TokenHash,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let found = recovery::Entity::find().filter(recovery::Column::TokenHash.eq(token.0.to_vec()));
    let found = found.filter(recovery::Column::ExpiresAt.gt(now.micros()));
    Ok(found.count(database).await.map_err(refuse)? > 0)
}

/// What each of these keys has counted that has not lapsed, in this order.
pub(crate) async fn login_counters<C: ConnectionTrait>(
    database: &C,
    keys: &[CounterKey],
    now: Timestamp,
) -> Result<Vec<Option<Counter>>, StoreError> {
    let mut found: HashMap<Vec<u8>, Counter> = HashMap::new();
    for list in sql::lists(keys) {
        let values = list.into_iter().map(|key| Value::from(key.0.to_vec()));
        for row in sql::LOGIN_COUNTERS.rows(database, values.len(), values.collect()).await? {
            let count = u32::try_from(get::<i64>(&row, "amount")?).map_err(corrupt)?;
            let counter = Counter { count, expires_at: moment(get(&row, "expires_at")?) };
            found.insert(get(&row, "key_hash")?, counter);
        }
    }
    found.retain(|_, counter| now < counter.expires_at);
    Ok(keys.iter().map(|key| found.get(key.0.as_slice()).copied()).collect())
}

pub(crate) async fn flow<C: ConnectionTrait>(
    database: &C,
    id: FlowId,
) -> Result<Option<Flow>, StoreError> {
    let found = flow::Entity::find_by_id(id.get()).filter(flow::Column::DeletedAt.is_null());
    only(found.all(database).await)?.map(to_flow).transpose()
}

/// Deleting a flow removes its members, so that this need not look at the flow.
pub(crate) async fn is_member<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    user: UserId,
) -> Result<bool, StoreError> {
    Ok(membership(database, flow, user).await?.is_some())
}

async fn membership<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    user: UserId,
) -> Result<Option<member::Model>, StoreError> {
    only(member::Entity::find_by_id((flow.get(), user.get())).all(database).await)
}

pub(crate) async fn flow_versions<C: ConnectionTrait>(
    database: &C,
    user: UserId,
) -> Result<Vec<(FlowId, Version)>, StoreError> {
    let rows = sql::rows(database, sql::FLOW_VERSIONS, vec![user.get().into()]).await?;
    rows.iter().map(position).collect()
}

fn position(row: &sea_orm::QueryResult) -> Result<(FlowId, Version), StoreError> {
    Ok((flow_id(get(row, "id")?)?, Version(get(row, "version")?)))
}

/// The members of flows, each list ordered by id.
pub(crate) async fn members<C: ConnectionTrait>(
    database: &C,
    flows: &[i64],
) -> Result<HashMap<i64, Vec<User>>, StoreError> {
    let mut members: HashMap<i64, Vec<User>> = HashMap::new();
    for list in sql::lists(flows) {
        for row in sql::MEMBERS
            .rows(database, list.len(), list.into_iter().map(Value::from).collect())
            .await?
        {
            let user = user::Model::from_query_result(&row, "").map_err(refuse)?;
            members.entry(get(&row, "in_flow")?).or_default().push(to_user(user)?);
        }
    }
    Ok(members)
}

pub(crate) async fn flow_summary<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    viewer: Option<UserId>,
    members: bool,
) -> Result<Option<FlowSummary>, StoreError> {
    // No membership has the user id 0.
    let viewer = viewer.map_or(0, UserId::get);
    let values = vec![viewer.into(), flow.get().into()];
    Ok(overviews_of(database, Part::One, values, members).await?.pop())
}

pub(crate) async fn flow_summaries<C: ConnectionTrait>(
    database: &C,
    query: &FlowSummaryQuery,
) -> Result<Vec<FlowSummary>, StoreError> {
    let part = if query.all { Part::All } else { Part::Own };
    let after = query.changed_after.map_or(-1, Timestamp::micros);
    let limit = query.limit.map_or(i64::MAX, i64::from);
    let values = vec![
        query.viewer.get().into(),
        after.into(),
        i64::MAX.into(),
        limit.into(),
        i64::from(query.offset).into(),
    ];
    overviews_of(database, part, values, query.members).await
}

/// A handful of statements, however many flows there are.
async fn overviews_of<C: ConnectionTrait>(
    database: &C,
    part: Part,
    values: Vec<Value>,
    all_members: bool,
) -> Result<Vec<FlowSummary>, StoreError> {
    let rows = sql::rows(database, sql::flow_summaries(part), values).await?;
    let mut flow_summaries = Vec::with_capacity(rows.len());
    let (mut last_ids, mut with_members) = (Vec::new(), Vec::new());
    for row in rows {
        let flow = to_flow(flow::Model::from_query_result(&row, "").map_err(refuse)?)?;
        let last: Option<i64> = get(&row, "last_id")?;
        let first: Option<i64> = get(&row, "first_id")?;
        let read = Version(get::<Option<i64>>(&row, "read_version")?.unwrap_or_default());
        if all_members || flow.kind == FlowKind::Chat {
            with_members.push(flow.id.get());
        }
        last_ids.extend(last);
        let first = first.map(message_id).transpose()?;
        flow_summaries
            .push((FlowSummary { flow, members: Vec::new(), last: None, first, read }, last));
    }
    let mut messages: HashMap<i64, Message> = HashMap::with_capacity(last_ids.len());
    for list in sql::lists(&last_ids) {
        for row in sql::MESSAGES
            .rows(database, list.len(), list.into_iter().map(Value::from).collect())
            .await?
        {
            let message = to_message(&row)?;
            messages.insert(message.id.get(), message);
        }
    }
    let mut members = members(database, &with_members).await?;
    let complete = flow_summaries.into_iter().map(|(mut flow_summary, last)| {
        flow_summary.last = last.and_then(|last| messages.remove(&last));
        flow_summary.members = members.remove(&flow_summary.flow.id.get()).unwrap_or_default();
        flow_summary
    });
    Ok(complete.collect())
}

async fn messages<C: ConnectionTrait>(
    database: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<Message>, StoreError> {
    sql::rows(database, sql, values).await?.iter().map(to_message).collect()
}

/// A page of history, and the read mark that reading it moves to.
pub(crate) struct History {
    pub(crate) page: MessagePage,
    /// `None` if the query moves no mark, or the mark stays.
    pub(crate) next_mark: Option<Version>,
}

/// Reads a page of history. The mark of [`HistoryRange::Unread`] is moved by the transaction that
/// reads the page again.
pub(crate) async fn history<C: ConnectionTrait>(
    database: &C,
    query: &HistoryQuery,
) -> Result<History, StoreError> {
    let HistoryQuery { flow: flow_id, viewer, range, limit, mark_read } = *query;
    let (limit, offset) = match range {
        HistoryRange::All => (limit, 0),
        HistoryRange::Newest { limit: wanted, offset } => (wanted.min(limit), offset),
        HistoryRange::Unread => {
            let page = unread(database, flow_id, viewer, limit).await?;
            return Ok(History { page, next_mark: None });
        }
    };
    let version = flow(database, flow_id).await?.ok_or(Fault::NoSuchFlow)?.version;
    let mut values = vec![Value::from(flow_id.get()), Value::from(i64::from(limit))];
    let messages = if offset == 0 {
        messages(database, &sql::NEWEST, values).await?
    } else {
        match sql::row(database, sql::SKIP, vec![flow_id.get().into(), i64::from(offset).into()])
            .await?
        {
            None => Vec::new(),
            Some(row) => {
                values.push(get::<i64>(&row, "posted")?.into());
                messages(database, &sql::NEWEST_UP_TO, values).await?
            }
        }
    };
    let mut next_mark = None;
    if let Some(last) = messages.last().filter(|_| mark_read) {
        next_mark = membership(database, flow_id, viewer)
            .await?
            .filter(|membership| membership.read_version < last.posted.0)
            .map(|_| last.posted);
    }
    Ok(History { page: MessagePage { flow: flow_id, messages, version }, next_mark })
}

/// The oldest messages that a viewer has not read; the mark stays.
pub(crate) async fn unread<C: ConnectionTrait>(
    database: &C,
    flow_id: FlowId,
    viewer: UserId,
    limit: u32,
) -> Result<MessagePage, StoreError> {
    let version = flow(database, flow_id).await?.ok_or(Fault::NoSuchFlow)?.version;
    let read = membership(database, flow_id, viewer)
        .await?
        .map_or(0, |membership| membership.read_version);
    let values =
        vec![flow_id.get().into(), read.into(), viewer.get().into(), i64::from(limit).into()];
    Ok(MessagePage {
        flow: flow_id,
        messages: messages(database, &sql::UNREAD, values).await?,
        version,
    })
}

pub(crate) async fn changes<C: ConnectionTrait>(
    database: &C,
    id: UserId,
    since: Timestamp,
    flow: Option<FlowId>,
    limit: u32,
) -> Result<Changes, StoreError> {
    let newest = last_moment(database).await?;
    let mut values =
        vec![Value::from(id.get()), since.micros().into(), (i64::from(limit) + 1).into()];
    values.extend(flow.map(|flow| Value::from(flow.get())));
    let scope = if flow.is_some() { Scope::One } else { Scope::Own };
    let mut changed =
        messages(database, sql::changes(database.get_database_backend(), scope), values).await?;
    let more = changed.len() > limit as usize;
    changed.truncate(limit as usize);
    // Every change up to the newest moment is committed, and every later one gets a later moment.
    let until = if more { changed.last().map_or(since, |last| last.changed_at) } else { newest };
    let values = vec![
        id.get().into(),
        since.micros().into(),
        until.micros().into(),
        i64::MAX.into(),
        0i64.into(),
    ];
    let mut flows = overviews_of(database, Part::Own, values, false).await?;
    flows.retain(|flow_summary| flow.is_none_or(|flow| flow == flow_summary.flow.id));
    let record = user(database, id)
        .await?
        .filter(|user| user.changed_at > since && user.changed_at <= until);
    Ok(Changes { messages: changed, flows, user: record.map(Box::new), until, more })
}

/// The flows and events after a moment; what both have in full decides how far it goes.
pub(crate) async fn changes_after<C: ConnectionTrait>(
    database: &C,
    after: Timestamp,
    limit: u32,
) -> Result<ChangesPage, StoreError> {
    let newest = last_moment(database).await?;
    let values = vec![after.micros().into(), newest.micros().into(), i64::from(limit).into()];
    let rows = sql::rows(database, sql::CHANGED_FLOWS, values).await?;
    let mut flows = Vec::with_capacity(rows.len());
    for row in &rows {
        flows.push((position(row)?, Timestamp::from_micros(get(row, "changed_at")?)));
    }
    let (mut events, moments) = journal::read(database, after, newest, limit).await?;
    let last_flow =
        flows.last().filter(|_| flows.len() >= limit as usize).map(|(_, changed_at)| *changed_at);
    let last_event = moments.last().filter(|_| moments.len() >= limit as usize).copied();
    let until = [last_flow, last_event].into_iter().flatten().fold(newest, Timestamp::min);
    flows.retain(|(_, changed_at)| *changed_at <= until);
    events.retain(|event| event.committed_at <= Some(until));
    Ok(ChangesPage {
        flows: flows.into_iter().map(|(position, _)| position).collect(),
        events,
        until,
        more: until < newest,
    })
}

pub(crate) async fn messages_after<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    after: Version,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    messages(
        database,
        &sql::MESSAGES_AFTER,
        vec![flow.get().into(), after.0.into(), i64::from(limit).into()],
    )
    .await
}
