//! A whole world as a text: the form `tolmach-world/1`, and the databases of other servers that
//! are read as if they were such texts; and the decisions of a person about users in conflict.
//!
//! The form is JSON Lines. Each line is an object with one key, which names the kind of record:
//! `world`, `user`, `flow`, `message` or `member`. A record refers to those before it only.
//! `schemas/world/` has its JSON Schema, `docs/import.md` explains it.

mod cursor;
mod decision;
mod id;
mod record;
mod sources;
mod time;

pub use cursor::{Cursor, RowPlace};
pub use decision::{Candidate, Decision, DecisionLine};
pub use id::Id;
pub use record::{
    Attachment, AttachmentKind, FORM, Flow, FlowKind, Header, MAX_LINE_BYTES, Member, Message,
    Photo, Record, RecordError, User,
};
pub use sources::{OpenSource, Scope, Source, SourceError};
pub use time::Time;
