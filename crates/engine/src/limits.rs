//! What an operator may decide about the use cases.

use crate::ports::PostMessage;
use std::time::Duration;
use tolmach_domain::{Content, ContentType, Fault};

/// What an operator may decide about the use cases.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whether anybody may register.
    pub registration: bool,
    /// The shortest password, in bytes.
    pub password_min: usize,
    /// How long an opaque token lives after its last use.
    pub token_lifetime: Duration,
    /// How long an access token lives.
    pub access_lifetime: Duration,
    /// How long a refresh token lives.
    pub refresh_lifetime: Duration,
    /// How long a recovery link lives.
    pub recovery_lifetime: Duration,
    /// What is done against the guessing of passwords.
    pub guesses: GuessPolicy,
    /// What a recovery link begins with: the gateway's public address, without a slash at the end.
    pub public_url: String,
    /// The most messages that one request for a whole history is answered with.
    pub history_limit: u32,
    /// The most members of a group or channel.
    pub members_limit: usize,
}

impl Default for Policy {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const DAY: u64 = 24 * 60 * MINUTE;
        Self {
            registration: true,
            password_min: 1,
            token_lifetime: Duration::from_secs(5 * DAY),
            access_lifetime: Duration::from_secs(15 * MINUTE),
            refresh_lifetime: Duration::from_secs(7 * DAY),
            recovery_lifetime: Duration::from_secs(30 * MINUTE),
            guesses: GuessPolicy::default(),
            public_url: "http://127.0.0.1:8080".into(),
            history_limit: 10_000,
            members_limit: 10_000,
        }
    }
}

/// What is done against the guessing of passwords.
#[derive(Debug, Clone)]
pub struct GuessPolicy {
    /// For how long failures count, from the first of them on.
    pub window: Duration,
    /// How many failures of a login from an address are free.
    pub free: u32,
    /// How many there may be before the login is refused to that address.
    pub per_pair: u32,
    /// How many there may be of a login, from all addresses, before it is refused to those where it
    /// has not succeeded lately.
    pub per_login: u32,
    /// How many there may be from an address, of all logins, before every login is refused to it.
    pub per_address: u32,
    /// For how long an attempt is held back after the free ones; each further one twice as long.
    pub delay: Duration,
    /// For how long at most.
    pub delay_max: Duration,
    /// How many attempts may be held back at once.
    pub waiting: usize,
    /// How long lately is.
    pub trust: Duration,
}

impl Default for GuessPolicy {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(15 * 60),
            free: 3,
            per_pair: 10,
            per_login: 100,
            per_address: 300,
            delay: Duration::from_millis(500),
            delay_max: Duration::from_secs(4),
            waiting: 1_000,
            trust: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

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
/// The most users found by one search.
pub const SEARCH_LIMIT: u32 = 50;
/// The most messages of one page or one answer about changes.
pub const PAGE_LIMIT: u32 = 1_000;
/// The most ids in one request.
pub const BATCH_LIMIT: usize = 1_000;

/// The form in which logins and addresses are compared: letter by letter, so that a part of a text
/// gives a part of its form, and by way of the upper case, where letters meet that have several
/// lower ones.
pub(crate) fn folded(text: &str) -> String {
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

/// Refuses text that is longer than `limit` characters, or that a database could not keep.
pub(crate) fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), Fault> {
    check_storable(field, text)?;
    if text.chars().count() > limit {
        return Err(Fault::invalid(field, format!("must have at most {limit} characters")));
    }
    Ok(())
}

/// Refuses the one character that PostgreSQL cannot keep in a text.
pub fn check_storable(field: &'static str, text: &str) -> Result<(), Fault> {
    if text.contains('\0') {
        Err(Fault::invalid(field, "must not have the character NUL"))
    } else {
        Ok(())
    }
}

/// The same anywhere in a message to post.
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

/// Refuses what cannot be an address. Only a mail that arrives proves one.
pub(crate) fn check_email(text: &str) -> Result<(), Fault> {
    let plausible = text.len() <= EMAIL_LIMIT
        && !text.chars().any(|char| char.is_control() || char.is_whitespace())
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
    if plausible { Ok(()) } else { Err(Fault::invalid("email", "is not an e-mail address")) }
}

/// Refuses a message that says nothing, or whose content type is not a name.
pub(crate) fn check_content(content: &Content) -> Result<(), Fault> {
    if content.text.is_empty() && content.attachments.is_empty() && content.emoji.is_none() {
        return Err(Fault::invalid("text", "must not be empty"));
    }
    check_content_storable(content)?;
    if let ContentType::Other(name) = &content.content_type {
        check_name("content_type", name, LOGIN_LIMIT)?;
    }
    Ok(())
}
