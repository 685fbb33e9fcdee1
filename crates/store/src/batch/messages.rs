//! Changes to messages, and read marks.

use super::lookups::distinct;
use super::transaction::Batch;
use crate::entities::message;
use crate::error::{corrupt, store_error};
use crate::read;
use crate::rows::{attachments_text, content_type_text, flow_id};
use crate::sql::{self, get};
use sea_orm::{EntityTrait, Set};
use std::collections::{BTreeMap, HashMap};
use tolmach_domain::{
    Content, Event, EventKind, Fault, FlowId, Message, MessageId, Timestamp, Version,
};
use tolmach_engine::ports::{DeleteMessages, Deleted, EditMessage, ReadMark, StoreError};

impl Batch {
    pub(crate) async fn edit(
        &mut self,
        edit: EditMessage,
        now: Timestamp,
    ) -> Result<Message, StoreError> {
        let EditMessage { message, flow, by, administrator, text, origin } = edit;
        let found = self.messages(&[message.get()]).await?.remove(&message.get());
        let mut message = found.filter(|message| {
            message.deleted_at.is_none() && flow.is_none_or(|flow| flow == message.flow)
        });
        if let Some(found) = &message
            && !administrator
            && self.memberships(&[(found.flow.get(), by.get())]).await?.is_empty()
        {
            message = None;
        }
        let mut message = message.ok_or(Fault::NoSuchMessage)?;
        if message.author.id != by {
            return Err(Fault::NotAuthor.into());
        }
        if !administrator && read::is_blocked_in(&self.transaction, message.flow, by).await? {
            return Err(Fault::NoSuchMessage.into());
        }
        message.changed_at = self.next_commit_time(now);
        message.version = self.take_versions(message.flow, 1, message.changed_at).await?;
        message.content.text = text;
        message.edited_at = Some(now);
        let row = message::ActiveModel {
            id: Set(message.id.get()),
            text: Set(message.content.text.clone()),
            version: Set(message.version.0),
            edited_at: Set(Some(now.micros())),
            changed_at: Set(message.changed_at.micros()),
            ..Default::default()
        };
        message::Entity::update(row).exec(&self.transaction).await.map_err(store_error)?;
        self.publish(now, origin, EventKind::Edited(message.clone()));
        Ok(message)
    }

    pub(crate) async fn delete(
        &mut self,
        deletion: DeleteMessages,
        now: Timestamp,
    ) -> Result<Deleted, StoreError> {
        let DeleteMessages { messages, flow, all_or_none, by, administrator, origin } = deletion;
        let mut found: HashMap<i64, (i64, i64)> = HashMap::new();
        for row in self
            .by_id(&sql::DELETABLE_MESSAGES, messages.iter().map(|message| message.get()))
            .await?
        {
            found.insert(get(&row, "id")?, (get(&row, "flow_id")?, get(&row, "author_id")?));
        }
        let pairs = if administrator {
            Vec::new()
        } else {
            distinct(found.values().map(|(flow, _)| (*flow, by.get())))
        };
        let members = self.memberships(&pairs).await?;

        let mut done = Deleted::default();
        let mut own: Vec<(MessageId, i64)> = Vec::new();
        for id in distinct(messages) {
            let reached = |(there, _): &&(i64, i64)| {
                flow.is_none_or(|flow| flow.get() == *there)
                    && (administrator || members.contains(&(*there, by.get())))
            };
            match found.get(&id.get()).filter(reached) {
                None => done.absent.push(id),
                Some((_, author)) if !administrator && *author != by.get() => {
                    done.not_author.push(id)
                }
                Some((there, _)) => own.push((id, *there)),
            }
        }
        if all_or_none && !(done.absent.is_empty() && done.not_author.is_empty()) {
            return Ok(done);
        }
        let mut flows: BTreeMap<FlowId, Vec<(MessageId, Timestamp)>> = BTreeMap::new();
        for (id, there) in own {
            done.deleted.push(id);
            let changed_at = self.next_commit_time(now);
            flows.entry(flow_id(there)?).or_default().push((id, changed_at));
        }
        for (flow, messages) in flows {
            let Some((_, newest)) = messages.last().copied() else { continue };
            let count = i64::try_from(messages.len()).map_err(corrupt)?;
            let first = self.take_versions(flow, count, newest).await?.0 - count + 1;
            let messages: Vec<_> = (first..)
                .zip(messages)
                .map(|(version, (id, at))| (id, Version(version), at))
                .collect();
            for (id, version, changed_at) in &messages {
                self.erase(*id, *version, *changed_at, now).await?;
            }
            let messages = messages.into_iter().map(|(id, version, _)| (id, version)).collect();
            let event = Event::new(now, EventKind::Deleted { flow, by, messages });
            self.publish_committed_at(newest, Event { origin: origin.clone(), ..event });
        }
        Ok(done)
    }

    /// Moves a member's read mark forward, never back. Changes nothing if the viewer is not a
    /// member.
    pub(crate) async fn move_read_mark(&mut self, mark: ReadMark) -> Result<(), StoreError> {
        let ReadMark { flow, viewer, version } = mark;
        let values = vec![version.0.into(), flow.get().into(), viewer.get().into()];
        sql::execute(&self.transaction, sql::MOVE_READ_MARK, values).await.map(drop)
    }

    /// Erases a message's content and marks it deleted.
    async fn erase(
        &self,
        id: MessageId,
        version: Version,
        changed_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Content { text, content_type, attachments, emoji, reply_to } = Content::default();
        let row = message::ActiveModel {
            id: Set(id.get()),
            text: Set(text),
            content_type: Set(content_type_text(&content_type)),
            attachments: Set(attachments_text(&attachments)?),
            emoji: Set(emoji),
            reply_to: Set(reply_to.map(MessageId::get)),
            version: Set(version.0),
            deleted_at: Set(Some(now.micros())),
            changed_at: Set(changed_at.micros()),
            ..Default::default()
        };
        message::Entity::update(row).exec(&self.transaction).await.map_err(store_error)?;
        Ok(())
    }

    /// Takes the next versions of a flow and returns the last of them.
    async fn take_versions(
        &self,
        flow: FlowId,
        count: i64,
        changed_at: Timestamp,
    ) -> Result<Version, StoreError> {
        let values = vec![count.into(), changed_at.micros().into(), flow.get().into()];
        let row = sql::row(&self.transaction, sql::TAKE_VERSIONS, values).await?;
        Ok(Version(get(&row.ok_or_else(|| corrupt("a flow without a row"))?, "version")?))
    }
}
