//! Inputs made of the transcripts in `protocols/<dialect>/transcripts`, so that fuzzing begins with
//! every frame of the documents.

use crate::input::{joined, kind};
use crate::subject::{material, project};
use std::path::PathBuf;

/// One step of a transcript.
enum Step {
    /// An exchange begins, with this title.
    Title(String),
    /// The client opens a connection, or makes an HTTP request.
    Open(Vec<u8>),
    /// The client's message, with its kind.
    Client(u8, Vec<u8>),
    /// The server's message, with its kind.
    Server(u8, Vec<u8>),
}

/// An input for the server's side of each transcript of a dialect.
pub(crate) fn for_servers(dialect: &str) -> Vec<Vec<u8>> {
    of(dialect, |steps| {
        let mut records = Vec::new();
        for step in steps {
            match step {
                Step::Open(request) => records.push(record(kind::OPEN, request)),
                Step::Client(kind, message) => records.push(record(*kind, message)),
                Step::Title(title) => {
                    let exchange = material().exchange_named(title);
                    let exchange = exchange.map(|number| material().exchange(number));
                    let fault = exchange.and_then(|exchange| exchange.outcome.as_ref().err());
                    let known = &material().faults;
                    let number =
                        fault.and_then(|fault| known.iter().position(|known| known == fault));
                    records.extend(number.map(|number| numbered(kind::REFUSE, number)));
                }
                Step::Server(..) => {}
            }
        }
        // Every event, once the connection has logged in and joined what it joins.
        let events = 0..material().events.len();
        records.extend(events.map(|number| numbered(kind::EVENT, number)));
        records.push(vec![kind::END]);
        records
    })
}

/// An input for the client's side of each transcript of a dialect.
pub(crate) fn for_clients(dialect: &str) -> Vec<Vec<u8>> {
    of(dialect, |steps| {
        let mut records = Vec::new();
        for step in steps {
            match step {
                Step::Title(title) => {
                    let number = material().exchange_named(title);
                    records.extend(number.map(|number| numbered(kind::REQUEST, number)));
                }
                Step::Server(kind, message) => records.push(record(*kind, message)),
                Step::Open(_) | Step::Client(..) => {}
            }
        }
        records
    })
}

/// The inputs of a dialect, each cut where it is long: mutations of short inputs are quicker, and
/// the sessions of a transcript are short.
fn of(dialect: &str, records: impl Fn(&[Step]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    const RECORDS: usize = 24;
    files(dialect)
        .iter()
        .flat_map(|text| {
            let records = records(&steps(text));
            let opening = records.iter().find(|record| record.first() == Some(&kind::OPEN));
            let opening = opening.cloned();
            let inputs: Vec<Vec<u8>> = records
                .chunks(RECORDS)
                .map(|part| {
                    let begins = part.first().and_then(|record| record.first());
                    let mut whole: Vec<Vec<u8>> = match begins {
                        Some(&kind::OPEN) | None => Vec::new(),
                        Some(_) => opening.clone().into_iter().collect(),
                    };
                    whole.extend_from_slice(part);
                    joined(&whole)
                })
                .collect();
            inputs
        })
        .collect()
}

/// The texts of the transcripts, in the order of their names.
fn files(dialect: &str) -> Vec<String> {
    let folder = project().transcripts(dialect);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths.iter().map(read).collect()
}

/// The steps of a transcript.
fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("# ") {
            steps.push(Step::Title(title.to_owned()));
            continue;
        }
        let Some(mark) = line.chars().next().filter(|mark| matches!(mark, '>' | '<')) else {
            continue;
        };
        let content = |line: &str| -> Option<String> {
            let rest = line.strip_prefix(mark)?;
            Some(rest.strip_prefix(' ').unwrap_or(rest).to_owned())
        };
        let first = content(line).unwrap_or_default();
        let is_head = |line: &str| {
            let word = line.split(' ').next().unwrap_or_default();
            match mark {
                '>' => !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()),
                _ => word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()),
            }
        };
        if !is_head(&first) {
            let (kind, message) = match first.as_str() {
                "(binary)" => {
                    let next = lines.next().and_then(content).unwrap_or_default();
                    (kind::BINARY, unescaped(&next))
                }
                _ => (kind::TEXT, first.into_bytes()),
            };
            steps.push(match mark {
                '>' => Step::Client(kind, message),
                _ => Step::Server(kind, message),
            });
            continue;
        }
        // The head up to an empty line, then the body. A WebSocket's head ends at its first
        // message.
        let (mut head, mut body, mut in_body) = (first, Vec::new(), false);
        while let Some(next) = lines.peek().copied().and_then(content) {
            if !in_body && !next.is_empty() && (next.starts_with(['{', '(']) || is_head(&next)) {
                break;
            }
            lines.next();
            if in_body {
                body.push(unescaped(&next));
            } else if next.is_empty() {
                in_body = true;
            } else {
                head.push('\n');
                head.push_str(&next);
            }
        }
        let end: &[u8] = if head.contains("multipart/") { b"\r\n" } else { b"\n" };
        let message = [head.as_bytes(), b"\n\n", &body.join(end)].concat();
        steps.push(match mark {
            '>' => Step::Open(message),
            _ => Step::Server(kind::RESPONSE, message),
        });
    }
    steps
}

/// The bytes of a line, where it is escaped for its control characters.
fn unescaped(line: &str) -> Vec<u8> {
    if !line.contains("\\x") {
        return line.as_bytes().to_vec();
    }
    let (mut bytes, mut rest) = (Vec::new(), line.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = after.strip_prefix(b"x").and_then(|digits| digits.get(..2));
        let byte = hex
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, byte, after) {
            (b'\\', Some(byte), _) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            (b'\\', None, [letter, others @ ..]) => {
                bytes.push(match letter {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    other => *other,
                });
                rest = others;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind], content].concat()
}

fn numbered(kind: u8, number: usize) -> Vec<u8> {
    record(kind, number.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::subjects;

    #[test]
    fn every_transcript_makes_inputs_for_both_sides() {
        for id in subjects().keys() {
            for (side, inputs) in [("server", for_servers(id)), ("client", for_clients(id))] {
                let bytes: usize = inputs.iter().map(Vec::len).sum();
                assert!(inputs.len() > 5 && bytes > 5_000, "{id}, {side}: {bytes} bytes");
            }
        }
    }

    #[test]
    fn escaped_lines_are_read_as_bytes() {
        assert_eq!(unescaped("\\x89PNG\\r\\\\"), b"\x89PNG\r\\");
        assert_eq!(unescaped("{\"a\":\"\\n\"}"), b"{\"a\":\"\\n\"}");
    }
}
