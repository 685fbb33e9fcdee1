//! Messages, history and changes.

use super::memory_store::MemoryStore;
use super::state::{FlowRecord, State, distinct, next};
use crate::answer_budget::{fitting, fitting_flows, message_size};
use crate::limits::{check_message, check_storable};
use crate::ports::{
    DeleteMessages, Deleted, EditMessage, HistoryQuery, IDEMPOTENCY_WINDOW, MAX_CHANGED_FLOWS,
    MessageStore, PendingMessage, PostMessage, Posted, ReadMark, StoreError,
};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use tolmach_domain::{
    Changes, Content, EventKind, Fault, FlowId, FlowKind, HistoryRange, Message, MessageId,
    MessagePage, Timestamp, UserId, Version,
};

#[async_trait]
impl MessageStore for MemoryStore {
    async fn submit_message(
        &self,
        message: PostMessage,
        now: Timestamp,
    ) -> Result<PendingMessage, StoreError> {
        check_message(&message)?;
        let posted = self.change(|state| state.post(message, now)).await?;
        Ok(Box::pin(std::future::ready(Ok(posted))))
    }

    async fn edit(&self, edit: EditMessage, now: Timestamp) -> Result<Message, StoreError> {
        check_storable("text", &edit.text)?;
        self.change(|state| {
            let message = state
                .messages
                .get(&edit.message)
                .filter(|message| state.reaches(message, edit.flow, edit.by, edit.administrator));
            let message = message.ok_or(Fault::NoSuchMessage)?;
            if message.author.id != edit.by {
                return Err(Fault::NotAuthor.into());
            }
            if !edit.administrator && state.is_blocked_in(message.flow, edit.by) {
                return Err(Fault::NoSuchMessage.into());
            }
            let mut message = state.shown(message);
            (message.version, message.changed_at) = state.next_version(message.flow, now)?;
            message.content.text = edit.text;
            message.edited_at = Some(now);
            state.messages.insert(message.id, message.clone());
            state.publish(now, edit.origin, EventKind::Edited(message.clone()));
            Ok(message)
        })
        .await
    }

    async fn delete(
        &self,
        deletion: DeleteMessages,
        now: Timestamp,
    ) -> Result<Deleted, StoreError> {
        self.change(|state| state.delete(deletion, now)).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<MessagePage, StoreError> {
        let HistoryQuery { flow, viewer, range, limit, max_bytes } = query;
        self.change(|state| {
            let record = state.flows.get(&flow).ok_or(Fault::NoSuchFlow)?;
            let version = record.flow.version;
            let read = record.members.get(&viewer).copied().unwrap_or_default();
            let visible: Vec<&Message> =
                state.in_flow(flow).filter(|message| message.deleted_at.is_none()).collect();
            let newest = |limit: u32, offset: u32| {
                let end = visible.len().saturating_sub(offset as usize);
                &visible[end.saturating_sub(limit as usize)..end]
            };
            let unread: Vec<&Message>;
            let page = match range {
                HistoryRange::All => newest(limit, 0),
                HistoryRange::Newest { limit: wanted, offset } => newest(wanted.min(limit), offset),
                HistoryRange::Unread => {
                    let others = visible
                        .iter()
                        .copied()
                        .filter(|message| message.posted > read && message.author.id != viewer);
                    unread = others.take(limit as usize).collect();
                    &unread
                }
            };
            let mut messages: Vec<Message> =
                page.iter().map(|message| state.shown(message)).collect();
            if range == HistoryRange::Unread {
                let kept = fitting(messages.iter().map(message_size), max_bytes);
                messages.truncate(kept);
            } else {
                let kept = fitting(messages.iter().rev().map(message_size), max_bytes);
                messages.drain(..messages.len() - kept);
            }
            Ok(MessagePage { flow, messages, version })
        })
        .await
    }

    async fn move_read_mark(&self, mark: ReadMark) -> Result<(), StoreError> {
        let ReadMark { flow, viewer, version } = mark;
        self.change(|state| {
            let record = state.flows.get_mut(&flow);
            if let Some(mark) = record.and_then(|record| record.members.get_mut(&viewer)) {
                *mark = version.max(*mark);
            }
            Ok(())
        })
        .await
    }

    async fn changes(
        &self,
        user: UserId,
        since: Timestamp,
        flow: Option<FlowId>,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Changes, StoreError> {
        self.read(|state| {
            let mut records: Vec<&FlowRecord> = state
                .flows_of(user)
                .filter(|record| flow.is_none_or(|flow| record.flow.id == flow))
                .collect();
            records.sort_by_key(|record| record.flow.changed_at);
            let flows: BTreeSet<FlowId> = records.iter().map(|record| record.flow.id).collect();
            let changed = state
                .messages
                .values()
                .filter(|message| message.changed_at > since && flows.contains(&message.flow));
            let mut messages: Vec<Message> = changed.map(|message| state.shown(message)).collect();
            messages.sort_by_key(|message| message.changed_at);
            let changed = messages.len();
            messages.truncate(limit as usize);
            messages.truncate(fitting(messages.iter().map(message_size), max_bytes / 2));
            let mut more = messages.len() < changed;
            let mut until = match messages.last() {
                Some(last) if more => last.changed_at,
                None if more => since,
                _ => state.commit_time,
            };
            records
                .retain(|record| record.flow.changed_at > since && record.flow.changed_at <= until);
            let first = records.iter().take(MAX_CHANGED_FLOWS as usize);
            let summaries = first.map(|record| state.flow_summary(record, Some(user), false));
            let mut flows = fitting_flows(summaries, max_bytes / 2);
            if flows.len() < records.len() {
                // The answer ends with the last flow that fits.
                until = flows.last().map_or(since, |summary| summary.flow.changed_at);
                messages.retain(|message| message.changed_at <= until);
                more = true;
            }
            flows.reverse();
            let within = |time: Timestamp| time > since && time <= until;
            let record = state.users.get(&user).filter(|record| within(record.user.changed_at));
            let user = record.map(|record| Box::new(record.user.clone()));
            Changes { messages, flows, user, until, more }
        })
        .await
    }

    async fn messages_after(
        &self,
        flow: FlowId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        self.read(|state| {
            let mut messages: Vec<&Message> =
                state.in_flow(flow).filter(|message| message.version > after).collect();
            messages.retain(|m| m.version > m.posted || !state.imported.contains(&m.id));
            messages.sort_by_key(|message| message.version);
            messages.into_iter().take(limit as usize).map(|message| state.shown(message)).collect()
        })
        .await
    }
}

impl State {
    fn post(&mut self, new: PostMessage, now: Timestamp) -> Result<Posted, StoreError> {
        let PostMessage { flow, kinds, author, administrator, content, key, origin } = new;
        let key = key.map(|key| (author.id, key));
        if let Some((first, used_at)) = key.as_ref().and_then(|key| self.keys.get(key))
            && now < used_at.after(IDEMPOTENCY_WINDOW)
            && let Some(first) = self.messages.get(first)
        {
            return Ok(Posted::Repeated(self.shown(first)));
        }
        let record = self
            .flows
            .get(&flow)
            .filter(|record| administrator || record.members.contains_key(&author.id))
            .ok_or(Fault::NoSuchFlow)?;
        let flow_kind = record.flow.kind;
        if !kinds.include(flow_kind) {
            return Err(Fault::WrongKind.into());
        }
        if !administrator && self.is_blocked_in(flow, author.id) {
            return Err(Fault::NoSuchFlow.into());
        }
        if flow_kind == FlowKind::Channel && record.flow.owner != Some(author.id) {
            return Err(Fault::NotOwner.into());
        }
        self.active_user(author.id)?;
        if content.reply_to.is_some_and(|answered| {
            self.messages.get(&answered).is_none_or(|message| message.flow != flow)
        }) {
            return Err(Fault::NoSuchMessage.into());
        }
        let id = next(&mut self.last_message, MessageId::new)?;
        let (version, changed_at) = self.next_version(flow, now)?;
        let message = Message {
            id,
            flow,
            flow_kind,
            author,
            content,
            posted: version,
            version,
            posted_at: now,
            edited_at: None,
            deleted_at: None,
            changed_at,
        };
        self.messages.insert(id, message.clone());
        if let Some(record) = self.flows.get_mut(&flow)
            && record.members.contains_key(&message.author.id)
        {
            record.acted.insert(message.author.id);
        }
        if let Some(key) = key {
            self.keys.insert(key, (id, now));
        }
        self.publish(now, origin, EventKind::Posted(message.clone()));
        Ok(Posted::New(message))
    }

    fn delete(&mut self, deletion: DeleteMessages, now: Timestamp) -> Result<Deleted, StoreError> {
        let DeleteMessages { messages, flow, all_or_none, by, administrator, origin } = deletion;
        let mut done = Deleted::default();
        let mut found: Vec<Message> = Vec::new();
        for id in distinct(&messages) {
            let message = self.messages.get(&id);
            match message.filter(|message| self.reaches(message, flow, by, administrator)) {
                None => done.absent.push(id),
                Some(message) if !administrator && message.author.id != by => {
                    done.not_author.push(id)
                }
                Some(message) => found.push(message.clone()),
            }
        }
        if all_or_none && !(done.absent.is_empty() && done.not_author.is_empty()) {
            return Ok(done);
        }
        let mut flows: BTreeMap<FlowId, Vec<(MessageId, Version)>> = BTreeMap::new();
        for mut message in found {
            let id = message.id;
            (message.version, message.changed_at) = self.next_version(message.flow, now)?;
            message.content = Content::default();
            message.deleted_at = Some(now);
            done.deleted.push(id);
            flows.entry(message.flow).or_default().push((id, message.version));
            self.messages.insert(id, message);
        }
        for (flow, messages) in flows {
            self.publish(now, origin.clone(), EventKind::Deleted { flow, by, messages });
        }
        Ok(done)
    }

    /// True if a user may change this message as far as its flow decides: it is not deleted, in
    /// `flow` if that is given, and in a flow that they are a member of.
    fn reaches(
        &self,
        message: &Message,
        flow: Option<FlowId>,
        by: UserId,
        administrator: bool,
    ) -> bool {
        message.deleted_at.is_none()
            && flow.is_none_or(|flow| flow == message.flow)
            && (administrator || self.is_member(message.flow, by))
    }

    pub(super) fn in_flow(
        &self,
        flow: FlowId,
    ) -> impl DoubleEndedIterator<Item = &Message> + Clone {
        self.messages.values().filter(move |message| message.flow == flow)
    }

    /// A message with its author's current names.
    pub(super) fn shown(&self, message: &Message) -> Message {
        let author = self.users.get(&message.author.id).map(|record| record.user.summary());
        Message { author: author.unwrap_or_else(|| message.author.clone()), ..message.clone() }
    }
}
