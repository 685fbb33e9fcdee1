//! Objects of the model, of the fields that were found in a server's frame.

use crate::encode::Me;
use crate::model::{Found, Record, RecordError, content};
use tolmach_dialect::known_messages::{KnownMessages, MessageDefaults};
use tolmach_dialect::placeholders::{placeholder_message_id, placeholder_user_id};
use tolmach_domain::{
    Fault, Flow, FlowKind, FlowSummary, Message, MessageId, Timestamp, User, UserId, UserSummary,
};

/// The knowledge of a client that reads a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) now: Timestamp,
    pub(super) me: &'a Me,
    pub(super) known: &'a KnownMessages,
}

/// A message.
pub(super) fn message(
    mut record: Record,
    defaults: MessageDefaults,
) -> Result<Message, RecordError> {
    let fields = &mut record;
    let id = fields.optional_id("id", Fault::NoSuchMessage)?;
    let flow = fields.optional_id("flow", Fault::NoSuchFlow)?.unwrap_or(defaults.flow);
    let flow_kind = flow_kind(fields, "flow_kind").unwrap_or(defaults.flow_kind);
    let author = match fields.record("author") {
        Some(found) => author(found)?,
        None => defaults.author,
    };
    let posted_at = fields.time("posted_at").unwrap_or(defaults.posted_at);
    let edited_at = fields.time("edited_at").ok();
    let deleted_at = fields.time("deleted_at").ok();
    let changed_at = fields.time("changed_at").ok();
    if fields.get(&["text"]).is_none() {
        // The text without the names of files.
        let plain = fields.optional_text("plain_text");
        fields.put(&["text"], Found::Text(plain.unwrap_or_default()));
    }
    if fields.get(&["content_type"]).is_none() {
        fields.put(&["content_type"], Found::ContentType(defaults.content_type));
    }
    let content = content(fields)?;
    let id = id.unwrap_or_else(|| placeholder_message_id(&author.login, posted_at, &content.text));
    Ok(Message {
        edited_at,
        deleted_at,
        changed_at: changed_at.or(edited_at).unwrap_or(posted_at),
        ..Message::new(id, (flow, flow_kind), author, content, posted_at)
    })
}

/// The part of a user that others see, by any of the names and the id.
pub(super) fn author(record: Record) -> Result<UserSummary, RecordError> {
    Ok(user(record)?.summary())
}

/// A user, by any of the names and the id.
pub(super) fn user(mut record: Record) -> Result<User, RecordError> {
    let fields = &mut record;
    let id: Option<UserId> = fields.optional_id("id", Fault::NoSuchUser)?;
    let login = fields.optional_text("login");
    let username = fields.optional_text("username");
    let name = fields.optional_text("name");
    let any = login.as_ref().or(username.as_ref()).or(name.as_ref()).cloned().unwrap_or_default();
    let id = id.unwrap_or_else(|| placeholder_user_id(&any));
    let created_at = fields.time("created_at").unwrap_or_default();
    Ok(User {
        login: login.unwrap_or_else(|| any.clone()),
        username: username.unwrap_or_else(|| any.clone()),
        name: name.unwrap_or_else(|| any.clone()),
        email: fields.optional_text("email"),
        phone: fields.optional_text("phone"),
        bio: fields.optional_text("bio").unwrap_or_default(),
        avatar: fields.optional_text("avatar"),
        bot: fields.flag("bot").unwrap_or_default(),
        admin: fields.flag("admin").unwrap_or_default(),
        business: fields.flag("business").unwrap_or_default(),
        created_at,
        changed_at: created_at,
        ..User::named(id, any)
    })
}

/// A flow.
pub(super) fn flow(record: &mut Record, now: Timestamp) -> Result<Flow, RecordError> {
    let id = record.id("id", Fault::NoSuchFlow)?;
    let kind = flow_kind(record, "kind").unwrap_or(FlowKind::Chat);
    let (title, name) = (record.optional_text("title"), record.optional_text("name"));
    // A name that is computed stands for the title.
    let title = title.or(name).or_else(|| record.optional_text("name_by_login"));
    let created_at = record.time("created_at").unwrap_or(now);
    Ok(Flow {
        info: record.optional_text("info").unwrap_or_default(),
        owner: record.optional_id("owner", Fault::NoSuchUser)?,
        created_at,
        changed_at: record.time("changed_at").unwrap_or(created_at),
        ..Flow::new(id, kind, title.unwrap_or_default())
    })
}

/// A flow with its members and messages.
pub(super) fn summary(mut record: Record) -> Result<FlowSummary, RecordError> {
    let flow = flow(&mut record, Timestamp::default())?;
    let mut members = match records(&mut record, "members") {
        Some(members) => members,
        None => records(&mut record, "others").unwrap_or_default(),
    };
    // A chat is named after its other member.
    if let (FlowKind::Chat, [other]) = (flow.kind, members.as_mut_slice())
        && !flow.title.is_empty()
        && ["login", "username", "name"].into_iter().all(|name| other.get(&[name]).is_none())
    {
        other.put(&["username"], Found::Text(flow.title.clone()));
    }
    // A flow without messages has a record in which all is none.
    let last = record
        .record("last")
        .filter(|last| ["id", "posted_at"].into_iter().any(|name| last.get(&[name]).is_some()));
    let defaults = MessageDefaults {
        flow: flow.id,
        flow_kind: flow.kind,
        ..MessageDefaults::unknown(Timestamp::default())
    };
    let last = last.map(|last| message(last, defaults)).transpose()?;
    // No message is written as zero on some wires.
    let first = record.integer("first").filter(|first| *first != 0);
    let first = first.map(MessageId::new).transpose().map_err(|_| Fault::NoSuchMessage)?;
    let members = members.into_iter().map(user);
    let mut members = members.collect::<Result<Vec<_>, RecordError>>()?;
    // The wire says that some member has the tariff, and not which.
    if let (Some(true), Some(first)) = (record.flag("business"), members.first_mut()) {
        first.business = true;
    }
    Ok(FlowSummary { members, last, first, ..FlowSummary::new(flow) })
}

/// The records of a list.
pub(super) fn records(record: &mut Record, name: &'static str) -> Option<Vec<Record>> {
    match record.take(name)? {
        Found::List(items) => Some(items.into_iter().map(as_record).collect()),
        Found::Record(one) => Some(vec![one]),
        _ => None,
    }
}

/// The record of an item: one that is no object is an id.
pub(super) fn as_record(item: Found) -> Record {
    match item {
        Found::Record(record) => record,
        other => {
            let mut record = Record::default();
            record.put(&["id"], other);
            record
        }
    }
}

fn flow_kind(record: &mut Record, name: &'static str) -> Option<FlowKind> {
    match record.take(name)? {
        Found::FlowKind(kind) => Some(kind),
        _ => None,
    }
}
