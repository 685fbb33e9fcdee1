//! Messages, history and changes.

use crate::job::{Post, Work};
use crate::read;
use crate::store::{JOB_SIZE, SqlStore};
use async_trait::async_trait;
use tokio::sync::oneshot;
use tolmach_domain::{
    Changes, FlowId, HistoryRange, Message, MessagePage, Timestamp, UserId, Version,
};
use tolmach_engine::ports::{
    DeleteMessages, Deleted, EditMessage, HistoryQuery, MessageStore, PendingMessage, PostMessage,
    StoreError,
};
use tolmach_engine::{check_message, check_storable};

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
        self.write_of(edit.by, edit.text.len(), move |batch| Box::pin(batch.edit(edit, now))).await
    }

    async fn delete(
        &self,
        deletion: DeleteMessages,
        now: Timestamp,
    ) -> Result<Deleted, StoreError> {
        self.write_of(deletion.by, deletion.messages.len() * 64, move |batch| {
            Box::pin(batch.delete(deletion, now))
        })
        .await
    }

    async fn history(&self, query: HistoryQuery) -> Result<MessagePage, StoreError> {
        let reading = || async {
            let snapshot = self.snapshot(Some(query.viewer)).await?;
            read::history(&snapshot.transaction, &query).await
        };
        let history = self.read(reading).await?;
        let HistoryQuery { flow, viewer, range, limit, max_bytes, .. } = query;
        if range == HistoryRange::Unread && !history.page.messages.is_empty() {
            // Read again in the transaction that moves the mark, so that of two concurrent requests
            // each gets its own messages.
            return self
                .write_of(viewer, 0, move |batch| {
                    Box::pin(batch.read_unread(flow, viewer, limit, max_bytes))
                })
                .await;
        }
        if let Some(mark) = history.next_mark {
            self.write_of(viewer, 0, move |batch| {
                Box::pin(batch.move_read_mark(flow, viewer, mark))
            })
            .await?;
        }
        Ok(history.page)
    }

    async fn changes(
        &self,
        user: UserId,
        since: Timestamp,
        flow: Option<FlowId>,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Changes, StoreError> {
        self.read(|| async {
            let snapshot = self.snapshot(Some(user)).await?;
            read::changes(&snapshot.transaction, user, since, flow, limit, max_bytes).await
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
