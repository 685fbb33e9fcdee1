//! Erasing everything that a user has written: for operators.

use crate::Engine;
use crate::faults::store_fault;
use crate::limits::BATCH_LIMIT;
use crate::ports::DeleteMessages;
use tolmach_domain::{Fault, MessageId, Timestamp, User, UserId};

/// The messages that are looked at together.
const PAGE: u32 = 1_000;

impl Engine {
    /// Deletes an account with its profile and its messages, and returns the number of messages.
    /// Their texts are gone; other members see that they were deleted. The login alone stays: it is
    /// never given out again. An erasure that was interrupted can be repeated.
    pub async fn erase_account(&self, user: User, now: Timestamp) -> Result<u64, Fault> {
        let id = user.id;
        let before = self.erase_messages(id, now).await?;
        self.remove_account(user, now).await?;
        self.ports.store.erase_profile(id, now).await.map_err(store_fault)?;
        self.invalidate_user(id);
        // Those that were posted meanwhile.
        Ok(before + self.erase_messages(id, now).await?)
    }

    /// Deletes the messages of a user. Reads all messages, a page at a time.
    async fn erase_messages(&self, user: UserId, now: Timestamp) -> Result<u64, Fault> {
        let store = &self.ports.store;
        let (mut after, mut erased) = (None, 0);
        loop {
            let page = store.export_messages(after, PAGE).await.map_err(store_fault)?;
            let Some(last) = page.last() else { return Ok(erased) };
            after = Some((last.flow, last.posted));
            let own = page.iter().filter(|message| message.author.id == user);
            let own: Vec<MessageId> = own.map(|message| message.id).collect();
            for messages in own.chunks(BATCH_LIMIT) {
                let deletion = DeleteMessages {
                    messages: messages.to_vec(),
                    flow: None,
                    all_or_none: false,
                    by: user,
                    // The user may have left the flow.
                    administrator: true,
                    origin: None,
                };
                let deleted = store.delete(deletion, now).await.map_err(store_fault)?;
                erased += deleted.deleted.len() as u64;
            }
        }
    }
}
