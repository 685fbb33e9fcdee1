//! Messages, history and changes.

use crate::Engine;
use crate::ErrorChain;
use crate::caller::Caller;
use crate::faults::store_fault;
use crate::limits::{
    BATCH_LIMIT, LOGIN_LIMIT, PAGE_LIMIT, check_content, check_name, check_storable,
    check_text_size,
};
use crate::ports::{DeleteMessages, EditMessage, HistoryQuery, PostMessage, Posted, ReadMark};
use std::future::Future;
use std::sync::Arc;
use tolmach_domain::{
    Answer, Event, EventKind, Fault, FlowId, FlowKindFilter, HistoryRange, Message, MessageId,
    NewMessage, Timestamp,
};

impl Engine {
    /// Submits a message; the future that it returns resolves once the message is committed. See
    /// [`MessageStore::submit_message`](crate::ports::MessageStore::submit_message).
    pub(crate) async fn send(
        &self,
        caller: &Caller,
        message: NewMessage,
    ) -> Result<impl Future<Output = Result<Answer, Fault>> + Send + use<>, Fault> {
        let NewMessage { flow, kinds, content, key } = message;
        check_content(&content, &self.policy)?;
        if let Some(key) = &key {
            check_name("key", key, LOGIN_LIMIT)?;
        }
        self.check_business(caller, Some(flow)).await?;
        let message = PostMessage {
            flow,
            kinds,
            author: caller.user.summary(),
            administrator: caller.administrator,
            content,
            key,
            origin: caller.origin.clone(),
        };
        let submitted = self.ports.store.submit_message(message, caller.now);
        let pending = submitted.await.map_err(store_fault)?;
        Ok(async move {
            let posted = pending.await.map_err(store_fault)?;
            let repeated = matches!(posted, Posted::Repeated(_));
            Ok(Answer::Sent { message: Some(Box::new(posted.into_message())), repeated })
        })
    }

    pub(crate) async fn edit(
        &self,
        caller: &Caller,
        message: MessageId,
        flow: Option<FlowId>,
        text: String,
    ) -> Result<Answer, Fault> {
        if text.is_empty() {
            return Err(Fault::invalid("text", "must not be empty"));
        }
        check_text_size(&text, self.policy.max_text_bytes)?;
        check_storable("text", &text)?;
        self.check_business(caller, flow).await?;
        let edit = EditMessage {
            message,
            flow,
            by: caller.user.id,
            administrator: caller.administrator,
            text,
            origin: caller.origin.clone(),
        };
        let message = self.ports.store.edit(edit, caller.now).await.map_err(store_fault)?;
        Ok(Answer::Edited(Box::new(message)))
    }

    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        messages: Vec<MessageId>,
        flow: Option<FlowId>,
        all_or_none: bool,
    ) -> Result<Answer, Fault> {
        if messages.is_empty() || messages.len() > BATCH_LIMIT {
            return Err(Fault::invalid("messages", format!("must be 1 to {BATCH_LIMIT}")));
        }
        self.check_business(caller, flow).await?;
        let deletion = DeleteMessages {
            messages,
            flow,
            all_or_none,
            by: caller.user.id,
            administrator: caller.administrator,
            origin: caller.origin.clone(),
        };
        let done = self.ports.store.delete(deletion, caller.now).await.map_err(store_fault)?;
        match (done.deleted.is_empty(), done.absent.is_empty()) {
            (true, true) => Err(Fault::NotAuthor),
            (true, false) => Err(Fault::NoSuchMessage),
            (false, _) => Ok(Answer::Deleted {
                deleted: done.deleted,
                left: done.not_author.into_iter().chain(done.absent).collect(),
            }),
        }
    }

    pub(crate) async fn history(
        &self,
        caller: &Caller,
        flow: FlowId,
        kinds: FlowKindFilter,
        range: HistoryRange,
    ) -> Result<Answer, Fault> {
        let visible = self.visible_flow(caller, flow, kinds).await?;
        let limit = match range {
            HistoryRange::Newest { limit, .. } => limit.min(PAGE_LIMIT),
            HistoryRange::All | HistoryRange::Unread => self.policy.max_history_messages,
        };
        let is_first_page =
            matches!(range, HistoryRange::All | HistoryRange::Newest { offset: 0, .. });
        // Many may do so at once: their first pages are the same.
        let has_just_subscribed = caller.readable.is_some();
        let opens = has_just_subscribed && is_first_page;
        if opens && let Some(page) = self.openings.page(flow, limit, visible.version) {
            return Ok(Answer::History(Box::new(page)));
        }
        let users = self.openings.users();
        let viewer = caller.user.id;
        let max_bytes = self.policy.max_answer_bytes;
        let query = HistoryQuery { flow, viewer, range, limit, max_bytes };
        let page = self.ports.store.history(query).await.map_err(store_fault)?;
        if opens {
            self.openings.keep_page(limit, &page, users);
        }
        Ok(Answer::History(Box::new(page)))
    }

    /// Moves a read mark once its user has got the answer. If that fails, the user reads the same
    /// messages again.
    pub async fn move_read_mark(&self, mark: ReadMark) {
        if let Err(error) = self.ports.store.move_read_mark(mark).await {
            let (flow, user, error) = (mark.flow, mark.viewer, ErrorChain(&error));
            tracing::warn!(%flow, %user, %error, "a read mark cannot be moved");
        }
    }

    pub(crate) async fn get_changes(
        &self,
        caller: &Caller,
        since: Timestamp,
        flow: Option<FlowId>,
        limit: u32,
    ) -> Result<Answer, Fault> {
        // `MessageStore::changes` yields only flows that the user is a member of, so that an
        // administrator who is not a member would get an empty answer.
        if let Some(flow) = flow
            && !self.ports.store.is_member(flow, caller.user.id).await.map_err(store_fault)?
        {
            return Err(Fault::NoSuchFlow);
        }
        let limit = limit.clamp(1, PAGE_LIMIT);
        let (store, max_bytes) = (&self.ports.store, self.policy.max_answer_bytes);
        let changes = store.changes(caller.user.id, since, flow, limit, max_bytes);
        let mut changes = changes.await.map_err(store_fault)?;
        if let Some(user) = &mut changes.user {
            user.avatar = store.avatar(user.id).await.map_err(store_fault)?;
        }
        Ok(Answer::Changes(Box::new(changes)))
    }

    /// Reduces the messages of an answer that were stored under higher bounds than the policy's, so
    /// that they do not end the connections of all who read them.
    pub(crate) fn reduce_messages(&self, answer: &mut Answer) {
        let messages: &mut [Message] = match answer {
            Answer::History(page) => &mut page.messages,
            Answer::Changes(changes) => &mut changes.messages,
            _ => return,
        };
        let (text, attached) = (self.policy.max_text_bytes, self.policy.max_attachment_bytes);
        messages.iter_mut().for_each(|message| message.content.reduce(text, attached));
    }

    pub(crate) async fn show_typing(
        &self,
        caller: &Caller,
        flow: FlowId,
        active: bool,
    ) -> Result<Answer, Fault> {
        if !self.ports.store.is_member(flow, caller.user.id).await.map_err(store_fault)? {
            return Err(Fault::NoSuchFlow);
        }
        // Accepted and dropped: typing has no consequence by which its author could learn of the
        // block.
        if self.ports.store.is_blocked_in(flow, caller.user.id).await.map_err(store_fault)? {
            return Ok(Answer::TypingShown);
        }
        let kind = EventKind::Typing { flow, user: caller.user.summary(), active };
        let event = Event { origin: caller.origin.clone(), ..Event::new(caller.now, kind) };
        self.ports.bus.publish(&[Arc::new(event)]).await;
        Ok(Answer::TypingShown)
    }

    /// Refuses an administrator's change in a flow without a member with the business tariff.
    async fn check_business(&self, caller: &Caller, flow: Option<FlowId>) -> Result<(), Fault> {
        if !caller.administrator {
            return Ok(());
        }
        let flow = flow.ok_or_else(|| Fault::invalid("flow", "an administrator has to name it"))?;
        match self.ports.store.has_business_member(flow).await.map_err(store_fault)? {
            Some(true) => Ok(()),
            Some(false) => Err(Fault::NoBusiness),
            None => Err(Fault::NoSuchFlow),
        }
    }
}
