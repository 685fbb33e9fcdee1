//! The arguments of `tolmach translate`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The two dialects, and the frames.
#[derive(Debug, Args)]
pub(crate) struct TranslateArguments {
    /// The dialect of the frames: its id, such as `mode`, or ID/REVISION
    pub(crate) from: String,
    /// The dialect to translate them to: ID or ID/REVISION
    pub(crate) to: String,
    /// Captures (tolmach-capture/1), or files with one frame a line, after > of a client or < of
    /// its server; `-` for standard input, which is also read without FILE
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Read nothing, and print what clients of FROM will miss at TO, operation by operation
    #[arg(long, conflicts_with = "files")]
    pub(crate) table: bool,
    /// The form of the output; by default text for a terminal and for --table, else json
    ///
    /// json is one object for each frame; markdown is for --table only.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<TranslationFormat>,
}

/// The forms of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TranslationFormat {
    Text,
    Json,
    Markdown,
}
