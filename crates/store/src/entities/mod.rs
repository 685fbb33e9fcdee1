//! The tables, one file each. Times are microseconds since the epoch.

pub(crate) mod avatar;
pub(crate) mod flow;
pub(crate) mod member;
pub(crate) mod message;
pub(crate) mod message_key;
pub(crate) mod recovery_token;
pub(crate) mod refresh_token;
pub(crate) mod session;
pub(crate) mod user;
