//! Messages, history and changes.

use crate::Engine;
use crate::engine::{Caller, refuse};
use crate::limits::{
    BATCH_LIMIT, LOGIN_LIMIT, PAGE_LIMIT, check_content, check_name, check_storable,
};
use crate::ports::{DeleteMessages, EditMessage, PostMessage};
use std::future::Future;
use std::sync::Arc;
use tolmach_domain::{
    Answer, Event, EventKind, Fault, FlowId, FlowKindFilter, HistoryRange, MessageId, NewMessage,
    Timestamp,
};

impl Engine {
    /// Begins to send: see [`Store::submit_message`](crate::ports::Store::submit_message).
    pub(crate) async fn send(
        &self,
        caller: &Caller,
        draft: NewMessage,
    ) -> Result<impl Future<Output = Result<Answer, Fault>> + Send + use<>, Fault> {
        let NewMessage { flow, kinds, content, key } = draft;
        check_content(&content)?;
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
        let posting = self.ports.store.submit_message(message, caller.now).await.map_err(refuse)?;
        Ok(async move {
            let (message, repeated) = posting.await.map_err(refuse)?;
            Ok(Answer::Sent { message: Some(Box::new(message)), repeated })
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
        let message = self.ports.store.edit(edit, caller.now).await.map_err(refuse)?;
        Ok(Answer::Edited(Box::new(message)))
    }

    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        messages: Vec<MessageId>,
        flow: Option<FlowId>,
    ) -> Result<Answer, Fault> {
        if messages.is_empty() || messages.len() > BATCH_LIMIT {
            return Err(Fault::invalid("messages", format!("must be 1 to {BATCH_LIMIT}")));
        }
        self.check_business(caller, flow).await?;
        let deletion = DeleteMessages {
            messages,
            flow,
            by: caller.user.id,
            administrator: caller.administrator,
            origin: caller.origin.clone(),
        };
        let done = self.ports.store.delete(deletion, caller.now).await.map_err(refuse)?;
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
        mark_read: bool,
    ) -> Result<Answer, Fault> {
        self.visible_flow(caller, flow, kinds).await?;
        let limit = match range {
            HistoryRange::Newest { limit, .. } => limit.min(PAGE_LIMIT),
            HistoryRange::All | HistoryRange::Unread => self.policy.history_limit,
        };
        let page =
            self.ports.store.history(flow, caller.user.id, range, limit).await.map_err(refuse)?;
        Ok(Answer::History(Box::new(page)))
    }

    pub(crate) async fn get_changes(
        &self,
        caller: &Caller,
        since: Timestamp,
        flow: Option<FlowId>,
        limit: u32,
    ) -> Result<Answer, Fault> {
        if let Some(flow) = flow
            && !self.ports.store.is_member(flow, caller.user.id).await.map_err(refuse)?
        {
            return Err(Fault::NoSuchFlow);
        }
        let limit = limit.clamp(1, PAGE_LIMIT);
        let changes =
            self.ports.store.changes(caller.user.id, since, flow, limit).await.map_err(refuse)?;
        Ok(Answer::Changes(Box::new(changes)))
    }

    pub(crate) async fn show_typing(
        &self,
        caller: &Caller,
        flow: FlowId,
        active: bool,
    ) -> Result<Answer, Fault> {
        if !self.ports.store.is_member(flow, caller.user.id).await.map_err(refuse)? {
            return Err(Fault::NoSuchFlow);
        }
        let kind = EventKind::Typing { flow, user: caller.user.summary(), active };
        self.ports
            .bus
            .publish(&[Arc::new(Event {
                occurred_at: caller.now,
                committed_at: None,
                origin: caller.origin.clone(),
                kind,
            })])
            .await;
        Ok(Answer::TypingShown)
    }

    /// An administrator writes only where a member has the business tariff.
    async fn check_business(&self, caller: &Caller, flow: Option<FlowId>) -> Result<(), Fault> {
        if !caller.administrator {
            return Ok(());
        }
        let flow = flow.ok_or_else(|| Fault::invalid("flow", "an administrator has to name it"))?;
        let members = self.ports.store.members(flow).await.map_err(refuse)?;
        match (members.is_empty(), members.iter().any(|member| member.business)) {
            (true, _) => Err(Fault::NoSuchFlow),
            (false, true) => Ok(()),
            (false, false) => Err(Fault::NoBusiness),
        }
    }
}
