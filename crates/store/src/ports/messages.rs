//! Messages, history and changes.

use crate::commit_time::complete_commit_time;
use crate::job::{Post, Work};
use crate::read::{self, HistoryBlocks};
use crate::rows::flow_id;
use crate::scope::Scope;
use crate::sql::{self, HISTORY_BLOCK, get};
use crate::store::{JOB_SIZE, SqlStore};
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, Value};
use std::collections::BTreeSet;
use tokio::sync::oneshot;
use tolmach_domain::{
    Changes, FlowId, HistoryRange, Message, MessageId, MessagePage, Timestamp, UserId, Version,
};
use tolmach_engine::ports::{
    DeleteMessages, Deleted, EditMessage, HistoryQuery, MessageStore, PendingMessage, PostMessage,
    ReadMark, StoreError,
};
use tolmach_engine::{ErrorChain, check_message, check_storable};

#[async_trait]
impl MessageStore for SqlStore {
    async fn submit_message(
        &self,
        message: PostMessage,
        now: Timestamp,
    ) -> Result<PendingMessage, StoreError> {
        check_message(&message)?;
        let size = message.content.size() + JOB_SIZE;
        let author = Some(message.author.id);
        let (answer, answered) = oneshot::channel();
        let work = Work::Post(Box::new(Post { message, now, answer }));
        Ok(Box::pin(self.submit(author, size, work, answered).await?))
    }

    async fn edit(&self, edit: EditMessage, now: Timestamp) -> Result<Message, StoreError> {
        check_storable("text", &edit.text)?;
        let (scope, size) = (self.scope_of(edit.flow, &[edit.message]).await?, edit.text.len());
        self.write_in(Some(edit.by), scope, size, move |batch| Box::pin(batch.edit(edit, now)))
            .await
    }

    async fn delete(
        &self,
        deletion: DeleteMessages,
        now: Timestamp,
    ) -> Result<Deleted, StoreError> {
        let scope = self.scope_of(deletion.flow, &deletion.messages).await?;
        let size = deletion.messages.len() * 64;
        self.write_in(Some(deletion.by), scope, size, move |batch| {
            Box::pin(batch.delete(deletion, now))
        })
        .await
    }

    async fn history(&self, query: HistoryQuery) -> Result<MessagePage, StoreError> {
        let newest = match query.range {
            HistoryRange::All => Some(query.limit),
            HistoryRange::Newest { limit, offset: 0 } => Some(limit.min(query.limit)),
            HistoryRange::Newest { .. } | HistoryRange::Unread => None,
        };
        if let Some(limit) = newest {
            let HistoryQuery { flow, viewer, max_bytes, .. } = query;
            let newest =
                |database| async move { read::newest(&database, flow, limit, max_bytes).await };
            if let Some(page) = self.read_page(viewer, newest).await? {
                return Ok(page);
            }
        }
        if let HistoryRange::Newest { offset, .. } = query.range
            && i64::from(offset) >= HISTORY_BLOCK
        {
            // If nothing can be written, the page is found by reading all before it.
            if let Err(error) = self.count_history_blocks(query.flow, query.viewer).await {
                let error = ErrorChain(&error);
                tracing::debug!(flow = %query.flow, %error, "a history cannot be counted");
            }
        }
        self.read_in_turn(|| async {
            let snapshot = self.snapshot(Some(query.viewer)).await?;
            read::history(&snapshot.transaction, &query).await
        })
        .await
    }

    async fn move_read_mark(&self, mark: ReadMark) -> Result<(), StoreError> {
        let ReadMark { flow, viewer, version } = mark;
        let current = || read::read_mark(&self.readers, flow, viewer);
        // A repeated read of the same messages writes nothing.
        if self.read(current).await?.is_none_or(|current| current >= version) {
            return Ok(());
        }
        self.write_in(Some(viewer), Scope::Flows(vec![flow]), 0, move |batch| {
            Box::pin(batch.move_read_mark(mark))
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
        self.read_in_turn(|| async {
            let newest = complete_commit_time(&self.readers).await?;
            let snapshot = self.snapshot(Some(user)).await?;
            let time = (since, newest);
            read::changes(&snapshot.transaction, user, time, flow, limit, max_bytes).await
        })
        .await
    }

    async fn messages_after(
        &self,
        flow: FlowId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        self.read(|| read::messages_after(&self.readers, flow, after, limit)).await
    }
}

impl SqlStore {
    /// Counts the blocks of a flow's history that are full and not counted yet: once for each
    /// message, in steps, on account of the user who reads.
    async fn count_history_blocks(&self, flow: FlowId, viewer: UserId) -> Result<(), StoreError> {
        let HistoryBlocks { next, full } =
            self.read(|| read::history_blocks(&self.readers, flow)).await?;
        let mut more = next < full;
        while more {
            let scope = Scope::Flows(vec![flow]);
            more = self
                .write_in(Some(viewer), scope, 0, move |batch| {
                    Box::pin(batch.count_history_blocks(flow))
                })
                .await?;
        }
        Ok(())
    }

    /// The scope of a change to messages, which must be in `flow` if it is given.
    async fn scope_of(
        &self,
        flow: Option<FlowId>,
        messages: &[MessageId],
    ) -> Result<Scope, StoreError> {
        if let Some(flow) = flow {
            return Ok(Scope::Flows(vec![flow]));
        }
        if !sql::is_concurrent(self.readers.get_database_backend()) {
            return Ok(Scope::All);
        }
        let ids: Vec<i64> = messages.iter().map(|message| message.get()).collect();
        self.read(|| async {
            let mut flows = BTreeSet::new();
            for list in sql::padded_lists(&ids) {
                let values = list.iter().copied().map(Value::from).collect();
                let rows = sql::FLOWS_OF_MESSAGES.rows(&self.readers, list.len(), values).await?;
                for row in rows {
                    flows.insert(flow_id(get(&row, "flow_id")?)?);
                }
            }
            Ok(Scope::Flows(flows.into_iter().collect()))
        })
        .await
    }
}
