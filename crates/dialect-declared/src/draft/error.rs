//! The reasons why a capture gives no draft.

/// A capture that gives no draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// There is no frame of a client.
    #[error(
        "the capture has no frame of a client; a line is a frame, after `>` of the client or `<` \
         of the server, or an object with `dir` (\"client\", \"server\") and `frame`"
    )]
    NoFrames,
    /// The frames are objects of no syntax that a file can have.
    #[error("line {line} is an object neither in JSON nor in Python's literals")]
    Syntax {
        /// The line of the first frame that is none, from 1.
        line: usize,
    },
    /// The frames are arrays without an object for their fields.
    #[error("line {line} is an array without an object; a draft finds fields by their keys only")]
    Array {
        /// The line of the first such frame, from 1.
        line: usize,
    },
    /// No key tells the requests apart.
    #[error(
        "no key with a text or an integer is in every frame of the client, so that nothing tells \
         its requests apart; a crate can serve such a wire"
    )]
    NoName,
    /// The draft does not match a frame of the capture.
    #[error("line {line} is not matched by the draft: {reason}")]
    Unmatched {
        /// The line, from 1.
        line: usize,
        /// The problem.
        reason: String,
    },
}
