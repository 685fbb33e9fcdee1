//! Both sides of the revisions that are files: those that the gateway has built in.

use crate::client;
use crate::input::{self, SEPARATOR, joined, kind};
use crate::server;
use crate::subject::{Subject, credentials_of_wire, subject};
use crate::transcripts;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tolmach_dialect::Dialect as _;
use tolmach_dialect_declared::{BUILT_IN, Declared};

/// The trials of the files with frames of clients in the field.
const FIELD: &str = "../../crates/dialect-declared/tests/field";

/// The records of one input.
const RECORDS: usize = 24;

/// Every file that is built in, compiled.
static REVISIONS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let compiled = |file| {
        let dialect = Declared::compile(file, BUILT_IN).unwrap_or_else(|error| panic!("{error}"));
        let credentials = credentials_of_wire(dialect.manifest().id);
        subject(dialect, credentials)
    };
    BUILT_IN.iter().copied().map(compiled).collect()
});

/// A message in the field, by its sender.
enum Message {
    Client(String),
    Server(String),
}

/// Feeds an input to sessions of a server.
pub(crate) fn run_server(input: &[u8]) {
    let (revision, records) = chosen(input);
    server::run(revision, records);
}

/// Feeds an input to sessions of a client.
pub(crate) fn run_client(input: &[u8]) {
    let (revision, records) = chosen(input);
    client::run(revision, records);
}

/// The revision of an input, and its other records.
fn chosen(input: &[u8]) -> (&'static Subject, &[u8]) {
    let end = input.iter().position(|byte| *byte == SEPARATOR).unwrap_or(input.len());
    let (number, rest) = match input.split_first() {
        Some((&kind::REVISION, _)) => (input::number(&input[1..end]), &input[end..]),
        _ => (0, input),
    };
    (&REVISIONS[number % REVISIONS.len()], rest)
}

/// The transcripts of the dialect for each of its revisions, and the frames of clients in the
/// field, over a WebSocket and over raw TCP.
pub(crate) fn seeds_for_servers() -> Vec<Vec<u8>> {
    seeds(transcripts::for_servers, |messages| {
        let texts = messages.iter().filter_map(|message| match message {
            Message::Client(text) => Some(text.as_bytes()),
            Message::Server(_) => None,
        });
        let texts: Vec<&[u8]> = texts.collect();
        let inputs = texts.chunks(RECORDS).flat_map(|part| {
            let opened = |open: &[u8], kind: u8| {
                let records = part.iter().map(|text| [&[kind], *text].concat());
                std::iter::once(open.to_vec()).chain(records).collect::<Vec<_>>()
            };
            [opened(b"@GET /", kind::TEXT), opened(&[kind::STREAM], kind::VALUE)]
        });
        inputs.collect()
    })
}

/// The same for clients: a request, and the frames of servers in the field.
pub(crate) fn seeds_for_clients() -> Vec<Vec<u8>> {
    seeds(transcripts::for_clients, |messages| {
        let texts = messages.iter().filter_map(|message| match message {
            Message::Server(text) => Some([&[kind::TEXT], text.as_bytes()].concat()),
            Message::Client(_) => None,
        });
        let texts: Vec<Vec<u8>> = texts.collect();
        let with_request = |part: &[Vec<u8>]| {
            let request = [&[kind::REQUEST], &b"0"[..]].concat();
            std::iter::once(request).chain(part.iter().cloned()).collect::<Vec<_>>()
        };
        texts.chunks(RECORDS).map(with_request).collect()
    })
}

/// An input for each revision and each list of records.
fn seeds(
    of_transcripts: impl Fn(&str) -> Vec<Vec<u8>>,
    of_field: impl Fn(&[Message]) -> Vec<Vec<Vec<u8>>>,
) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, revision) in REVISIONS.iter().enumerate() {
        let choice = format!("{}{number}", char::from(kind::REVISION)).into_bytes();
        let transcripts = of_transcripts(revision.id());
        let field = of_field(&field_messages(revision.id()));
        let inputs = transcripts.into_iter().chain(field.iter().map(|records| joined(records)));
        seeds.extend(inputs.map(|input| joined(&[choice.clone(), input])));
    }
    seeds
}

/// The messages in the trials of a dialect's revisions: the raw strings of its trial that begin as
/// an object, which may be of both sides, and the captures.
fn field_messages(dialect: &str) -> Vec<Message> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIELD);
    let trial = read(&folder.join(format!("{dialect}.rs")));
    let strings = trial.split("r#\"").skip(1).filter_map(|rest| rest.split("\"#").next());
    let mut messages: Vec<Message> = strings
        .filter(|text| text.starts_with('{'))
        .flat_map(|text| [Message::Client(text.to_owned()), Message::Server(text.to_owned())])
        .collect();
    for path in captures(&folder.join("captures"), dialect) {
        for line in read(&path).lines() {
            let line: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let Some(frame) = line["frame"].as_str().map(str::to_owned) else { continue };
            match line["dir"].as_str() {
                Some("client") => messages.push(Message::Client(frame)),
                Some("server") => messages.push(Message::Server(frame)),
                _ => {}
            }
        }
    }
    messages
}

/// The captures of a dialect, in the order of their names.
fn captures(folder: &Path, dialect: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let is_of_dialect = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(dialect))
    };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_of_dialect).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_has_inputs_of_transcripts_and_of_the_field() {
        for (number, revision) in REVISIONS.iter().enumerate() {
            let choice = format!("#{number}\u{1e}");
            for (side, seeds) in [("server", seeds_for_servers()), ("client", seeds_for_clients())]
            {
                let own = seeds.iter().filter(|seed| seed.starts_with(choice.as_bytes()));
                let least = if side == "server" { 7 } else { 6 };
                assert!(own.count() >= least, "{}, {side}", revision.id());
            }
        }
    }

    #[test]
    fn an_input_names_its_revision() {
        let place = |input: &[u8]| {
            let (revision, rest) = chosen(input);
            let at = REVISIONS.iter().position(|known| std::ptr::eq(known, revision));
            (at.expect("it is one of them"), rest.to_vec())
        };
        assert_eq!(place(b"#3\x1e>{}"), (3, b"\x1e>{}".to_vec()));
        assert_eq!(place(b"#3"), (3, Vec::new()));
        assert_eq!(place(b">{}"), (0, b">{}".to_vec()));
        assert_eq!(place(b""), (0, Vec::new()));
    }
}
