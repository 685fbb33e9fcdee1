//! E-mail.

use super::PortError;
use async_trait::async_trait;

/// Sends mail.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Sends a mail; returns once a server has accepted it.
    async fn send(&self, mail: Mail) -> Result<(), PortError>;
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
