//! Limits on the size of texts and lists, and the checks of them.

use crate::policy::Policy;
use crate::ports::PostMessage;
use tolmach_domain::{Content, ContentType, Fault};

/// The longest login, username or content type, in characters.
pub const LOGIN_LIMIT: usize = 64;
/// The longest name or title, in characters.
pub const NAME_LIMIT: usize = 255;
/// The longest description, in characters.
pub const INFO_LIMIT: usize = 4_096;
/// The longest key that makes a retry harmless, in characters.
pub const KEY_LIMIT: usize = 255;
/// The longest password, in bytes.
pub const PASSWORD_LIMIT: usize = 1_024;
/// The longest e-mail address, in bytes (RFC 5321).
pub const EMAIL_LIMIT: usize = 254;
/// The largest number of users that a search finds.
pub const SEARCH_LIMIT: u32 = 50;
/// The largest number of messages in one page or one response about changes.
pub const PAGE_LIMIT: u32 = 1_000;
/// The largest number of ids in one request.
pub const BATCH_LIMIT: usize = 1_000;

/// The case-folded form by which logins and addresses are compared. It is built letter by letter,
/// so that the form of a substring is a substring of the form; and by way of the upper case, where
/// letters with several lower cases become equal.
pub fn case_folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Refuses text that is empty, longer than `limit` characters or has control characters.
pub(crate) fn check_name(field: &'static str, text: &str, limit: usize) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::invalid(field, "must not be empty"));
    }
    check_line(field, text, limit)
}

/// Refuses text that is longer than `limit` characters or has control characters.
pub(crate) fn check_line(field: &'static str, text: &str, limit: usize) -> Result<(), Fault> {
    if text.chars().count() > limit {
        return Err(Fault::invalid(field, format!("must have at most {limit} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::invalid(field, "must not have control characters"));
    }
    Ok(())
}

/// Refuses text that is longer than `limit` characters or has the character NUL.
pub(crate) fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), Fault> {
    check_storable(field, text)?;
    if text.chars().count() > limit {
        return Err(Fault::invalid(field, format!("must have at most {limit} characters")));
    }
    Ok(())
}

/// Refuses the character NUL, which PostgreSQL cannot store in a text.
pub fn check_storable(field: &'static str, text: &str) -> Result<(), Fault> {
    if text.contains('\0') {
        Err(Fault::invalid(field, "must not have the character NUL"))
    } else {
        Ok(())
    }
}

/// Refuses the character NUL in a message to post.
pub fn check_message(message: &PostMessage) -> Result<(), Fault> {
    check_storable("key", message.key.as_deref().unwrap_or_default())?;
    check_content_storable(&message.content)
}

fn check_content_storable(content: &Content) -> Result<(), Fault> {
    check_storable("text", &content.text)?;
    if let ContentType::Other(name) = &content.content_type {
        check_storable("content_type", name)?;
    }
    let mut encoded = content.emoji.iter().chain(content.attachments.iter().map(|file| &file.data));
    encoded.try_for_each(|data| check_storable("file", data))
}

/// Refuses text that cannot be an e-mail address. That it is one, only a delivered mail proves.
pub(crate) fn check_email(text: &str) -> Result<(), Fault> {
    let plausible = text.len() <= EMAIL_LIMIT
        && !text.chars().any(|char| char.is_control() || char.is_whitespace())
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
    if plausible { Ok(()) } else { Err(Fault::invalid("email", "is not an e-mail address")) }
}

/// Refuses the text of a message that has more than `limit` bytes.
pub(crate) fn check_text_size(text: &str, limit: usize) -> Result<(), Fault> {
    if text.len() <= limit {
        return Ok(());
    }
    Err(Fault::invalid("text", format!("must have at most {limit} bytes")))
}

/// Refuses an empty message, one over the limits of a policy, and a content type that is not a
/// name.
pub(crate) fn check_content(content: &Content, policy: &Policy) -> Result<(), Fault> {
    if content.text.is_empty() && content.attachments.is_empty() && content.emoji.is_none() {
        return Err(Fault::invalid("text", "must not be empty"));
    }
    check_text_size(&content.text, policy.max_text_bytes)?;
    let limit = policy.max_attachment_bytes;
    if content.attached_size() > limit {
        return Err(Fault::invalid("file", format!("must have at most {limit} bytes in all")));
    }
    check_content_storable(content)?;
    if let ContentType::Other(name) = &content.content_type {
        check_name("content_type", name, LOGIN_LIMIT)?;
    }
    Ok(())
}
