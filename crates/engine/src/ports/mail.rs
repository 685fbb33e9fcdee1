//! E-mail.

use super::{PortError, PruneCount};
use async_trait::async_trait;
use tolmach_domain::Timestamp;

/// Sends mail.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Sends a mail; returns once a server has accepted it.
    async fn send(&self, mail: Mail) -> Result<(), PortError>;

    /// Removes mails that were kept after they were sent, up to a time, and counts them. With
    /// `dry_run` they are only counted. A mailer that keeps none has nothing to do.
    async fn remove_sent(
        &self,
        _up_to: Timestamp,
        _dry_run: bool,
    ) -> Result<PruneCount, PortError> {
        Ok(PruneCount { kind: "mails", records: 0, bytes: 0 })
    }
}

/// A mail to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The recipient's address.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The body, plain text.
    pub body: String,
}
