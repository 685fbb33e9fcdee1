//! The target of mail.

use crate::config::Config;
use crate::error::UsageError;
use std::path::Path;
use tolmach_adapters::MailTarget;

/// The target that is configured, or a folder in the data folder.
pub(crate) fn mail_target(config: &Config, data: &Path) -> Result<MailTarget, UsageError> {
    if config.mail.url.expose().is_empty() {
        return Ok(MailTarget::Folder(data.join("mail")));
    }
    Ok(MailTarget::parse(&config.mail.url)?)
}
