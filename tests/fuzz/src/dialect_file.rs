//! Dialect files of any content: the compiler takes them or says what is wrong, and what it takes
//! serves frames of any content.

use crate::client;
use crate::input::{SEPARATOR, joined, kind};
use crate::server;
use crate::subject::{Subject, credentials_of_wire};
use tolmach_dialect::Dialect as _;
use tolmach_dialect_declared::{BUILT_IN, Declared, DialectFile, FileError};

/// The files that are built in, each with a frame.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let with_frame = |file: &DialectFile<'_>| {
        let frame = [&[kind::TEXT], &b"{}"[..]].concat();
        joined(&[file.text.into(), vec![kind::STREAM], frame])
    };
    BUILT_IN.iter().map(with_frame).collect()
}

/// Compiles the first record of an input, and feeds the others to the sessions of the dialect.
pub(crate) fn run(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == SEPARATOR).unwrap_or(input.len());
    let (text, frames) = input.split_at(end);
    let text = String::from_utf8_lossy(text);
    match Declared::compile(DialectFile { name: "input.toml", text: &text }, BUILT_IN) {
        Ok(dialect) => {
            assert!(dialect.warnings().iter().all(|warning| !warning.to_string().is_empty()));
            let credentials = credentials_of_wire(dialect.manifest().id);
            let subject = Subject { dialect: Box::new(dialect), schemas: None, credentials };
            server::run(&subject, frames);
            client::run(&subject, frames);
        }
        Err(FileError(mistakes)) => {
            assert!(!mistakes.is_empty(), "a file is refused for no reason");
            assert!(mistakes.iter().all(|mistake| !mistake.to_string().is_empty()));
        }
    }
}
