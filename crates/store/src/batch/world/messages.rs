//! Messages.

use super::known::Source;
use super::records::Records;
use crate::batch::transaction::Batch;
use crate::read;
use crate::rows::{attachments_text, content_type_text, message_id};
use crate::sql::{self, get};
use sea_orm::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use tolmach_domain::{ExternalId, Fault, MessageId, ObjectId, ObjectKind, Timestamp};
use tolmach_engine::ports::{ImportMessage, ImportNote, Imported, StoreError};

/// A stored message as an import recognises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    flow: i64,
    author: i64,
    posted_at: Timestamp,
}

/// A message with its flow, its author and the message that it replies to.
struct NewMessage {
    message: ImportMessage,
    flow: i64,
    author: i64,
    reply_to: Option<Reply>,
}

/// The message that another one replies to.
#[derive(Clone, Copy)]
enum Reply {
    Stored(i64),
    /// A new one, by its index.
    New(usize),
}

/// The version and the commit time of the newest message of a flow.
#[derive(Clone, Copy)]
struct Newest {
    version: i64,
    changed_at: Timestamp,
}

impl Batch {
    pub(super) async fn import_messages(
        &mut self,
        source: &mut Source,
        before: i64,
        groups_apart: bool,
        messages: Vec<ImportMessage>,
    ) -> Result<Vec<Imported<MessageId>>, StoreError> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let flows =
            self.known(source, ObjectKind::Flow, messages.iter().map(|new| new.flow)).await?;
        let newest = self.newest(flows.values().copied()).await?;
        let users =
            self.known(source, ObjectKind::User, messages.iter().map(|new| new.author)).await?;
        let ids = messages.iter().flat_map(|new| new.reply_to.into_iter().chain([new.source_id]));
        let ids: Vec<ExternalId> = ids.collect();
        let known = self.known(source, ObjectKind::Message, ids.iter().copied()).await?;
        let numbers = ids.iter().filter_map(|id| id.number()).chain(known.values().copied());
        let stored = self.identities(numbers).await?;
        // A message that has a row got its number here: it is not the one of that number there.
        let unknown = ids.iter().filter(|id| !known.contains_key(id));
        let unknown = unknown.filter_map(|id| id.number().filter(|id| stored.contains_key(id)));
        let unknown: Vec<ObjectId> =
            unknown.filter_map(|id| ObjectId::new(ObjectKind::Message, id)).collect();
        let renumbered =
            read::external_ids_of_objects(&self.transaction, &source.namespace, &unknown).await?;
        let renumbered: HashSet<i64> = renumbered.iter().map(|row| row.object.get()).collect();
        let is_renumbered = |id: &i64| renumbered.contains(id);
        let mut records: Records<NewMessage> = Records::new(messages.len());
        // The flow of each new message.
        let mut new_in: HashMap<ExternalId, (usize, i64)> = HashMap::new();
        for message in messages {
            if let Some(id) = known.get(&message.source_id) {
                records.existing(*id);
                continue;
            }
            let flow = flows.get(&message.flow).filter(|flow| newest.contains_key(flow));
            let Some(flow) = flow.copied() else {
                records.refuse(Fault::NoSuchFlow);
                continue;
            };
            let Some(author) = users.get(&message.author).copied() else {
                records.refuse(Fault::NoSuchUser);
                continue;
            };
            let identity = Identity { flow, author, posted_at: message.posted_at };
            if let Some(number) = message.source_id.number()
                && stored.get(&number) == Some(&identity)
                && !is_renumbered(&number)
            {
                records.existing(number);
                continue;
            }
            if records.repeats(message.source_id) {
                continue;
            }
            let reply_to = message.reply_to.and_then(|reply| {
                let new = new_in.get(&reply).filter(|(_, in_flow)| *in_flow == flow);
                if let Some((index, _)) = new {
                    return Some(Reply::New(*index));
                }
                let own = || reply.number().filter(|number| !is_renumbered(number));
                let id = known.get(&reply).copied().or_else(own)?;
                (stored.get(&id)?.flow == flow).then_some(Reply::Stored(id))
            });
            let lacks_reply = reply_to.is_none() && message.reply_to.is_some();
            let note = lacks_reply.then_some(ImportNote::NoReply);
            new_in.insert(message.source_id, (records.source_ids().len(), flow));
            let source_id = message.source_id;
            records.accept(source_id, NewMessage { message, flow, author, reply_to }, note);
        }
        let is_taken = |id| stored.contains_key(&id);
        let ids = self.new_ids(ObjectKind::Message, before, records.source_ids(), is_taken).await?;
        let new = records.take_new();
        self.insert_imported(&new, &ids, newest).await?;
        let remembered = new.iter().map(|new| new.message.source_id).zip(ids.iter().copied());
        let remembered =
            remembered.filter(|(source_id, id)| groups_apart || source_id.number() != Some(*id));
        self.remember(source, ObjectKind::Message, remembered).await?;
        records.outcomes(&ids, message_id)
    }

    /// The newest messages of flows that are not deleted.
    async fn newest(
        &self,
        flows: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Newest>, StoreError> {
        let rows = self.listed(&sql::NEWEST_VERSIONS, flows).await?;
        rows.iter()
            .map(|row| {
                let version = get(row, "version")?;
                let changed_at = match version {
                    0 => Timestamp::default(),
                    _ => Timestamp::from_micros(get(row, "changed_at")?),
                };
                Ok((get(row, "id")?, Newest { version, changed_at }))
            })
            .collect()
    }

    /// The messages with these ids.
    async fn identities(
        &self,
        ids: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Identity>, StoreError> {
        let rows = self.listed(&sql::MESSAGE_IDENTITIES, ids).await?;
        rows.iter()
            .map(|row| {
                let identity = Identity {
                    flow: get(row, "flow_id")?,
                    author: get(row, "author_id")?,
                    posted_at: Timestamp::from_micros(get(row, "posted_at")?),
                };
                Ok((get(row, "id")?, identity))
            })
            .collect()
    }

    /// Inserts new messages, each with the next version of its flow.
    async fn insert_imported(
        &self,
        new: &[NewMessage],
        ids: &[i64],
        mut newest: HashMap<i64, Newest>,
    ) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(new.len());
        let (mut changed, mut acted) = (BTreeMap::new(), BTreeSet::new());
        for (message, id) in new.iter().zip(ids.iter().copied()) {
            let Some(newest) = newest.get_mut(&message.flow) else { continue };
            newest.version += 1;
            newest.changed_at = message.message.commit_time(message_id(id)?, newest.changed_at);
            changed.insert(message.flow, *newest);
            acted.insert((message.flow, message.author));
            let reply_to = message.reply_to.map(|reply| match reply {
                Reply::Stored(id) => id,
                Reply::New(index) => ids[index],
            });
            rows.push((id, columns(message, id, *newest, reply_to)?));
        }
        // Ascending, so that the pages of the table are filled one after another.
        rows.sort_unstable_by_key(|(id, _)| *id);
        let rows = rows.into_iter().map(|(_, columns)| columns).collect();
        sql::INSERT_IMPORTED_MESSAGES.execute(&self.transaction, rows).await?;
        let changed = changed.into_iter().map(|(flow, newest)| {
            [flow, newest.version, newest.changed_at.micros()].map(Value::from)
        });
        sql::SET_NEWEST_VERSIONS.execute(&self.transaction, changed.collect()).await?;
        let acted = acted.into_iter().map(|(flow, author)| [flow, author].map(Value::from));
        sql::SET_AUTHORS_ACTED.execute(&self.transaction, acted.collect()).await?;
        Ok(())
    }
}

/// The values of [`sql::IMPORTED_MESSAGE_COLUMNS`].
fn columns(
    new: &NewMessage,
    id: i64,
    newest: Newest,
    reply_to: Option<i64>,
) -> Result<[Value; sql::IMPORTED_MESSAGE_COLUMNS.len()], StoreError> {
    let NewMessage { message, flow, author, .. } = new;
    let content = &message.content;
    Ok([
        id.into(),
        (*flow).into(),
        (*author).into(),
        content_type_text(&content.content_type).into(),
        content.text.as_str().into(),
        attachments_text(&content.attachments)?.into(),
        content.emoji.clone().into(),
        reply_to.into(),
        newest.version.into(),
        newest.version.into(),
        message.posted_at.micros().into(),
        message.edited_at.map(Timestamp::micros).into(),
        message.deleted_at.map(Timestamp::micros).into(),
        newest.changed_at.micros().into(),
        true.into(),
    ])
}
