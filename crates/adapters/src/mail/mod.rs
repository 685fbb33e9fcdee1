//! Mail, as files or by SMTP.

mod body;
mod sender;
mod target;

pub use lettre::message::Mailbox;
pub use sender::{MailOptions, MailSender};
pub use target::{MailTarget, MailUrlError, SmtpServer};
