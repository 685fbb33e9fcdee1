//! Drafts of dialect files from captured conversations.

mod capture;
mod conversation;
mod error;
mod file;
mod guess;
mod lists;
mod outcome;
mod path;
mod pattern;
mod place;

pub use capture::{CapturedFrame, captured_frame};
pub use error::DraftError;
pub use file::draft;
