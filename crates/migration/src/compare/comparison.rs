//! The comparison of two captures, line by line.

use crate::compare::connection::{Connection, Shared, Side};
use crate::compare::id_map::IdMap;
use crate::compare::meaning::Meanings;
use crate::report::{Report, Source};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::BufRead;
use tolmach_capture::{
    CaptureError, CapturedFrame, Close, InvalidFrame, Line, Open, Reader, Sender,
};
use tolmach_dialect::DOC;

/// The bytes that connections may hold: frames that wait for frames of the other capture, and what
/// is remembered of those before.
const MAX_HELD: usize = 256 << 20;

/// A capture with its name.
pub struct Capture<R> {
    /// The name, for the report and for errors.
    pub name: String,
    /// Its lines.
    pub reader: Reader<R>,
}

/// The reason why two captures cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A line is no frame.
    #[error("{name}:{line}: no frame")]
    Frame {
        /// The name of the capture.
        name: String,
        /// The line.
        line: u64,
        /// The cause.
        #[source]
        error: InvalidFrame,
    },
    /// There is no such dialect.
    #[error("{name}:{line}: there is no dialect {dialect:?}; the dialects are {existing}")]
    UnknownDialect {
        /// The name of the capture.
        name: String,
        /// The line.
        line: u64,
        /// The dialect's id, with the revision.
        dialect: String,
        /// Those that exist.
        existing: String,
    },
}

/// Compares what two servers have sent to the same clients.
///
/// The second capture is a replay of the first: its connections name those that they play (`of`);
/// where they do not, connections of the same number are compared. `dialect` is the dialect and the
/// revision of every connection, in place of those that the captures name.
///
/// Both captures are read once, side by side: the one whose clients are behind goes on; if neither
/// are, the first one does, unless a connection has thousands of frames there that wait for those
/// of the second. Frames that are the same are forgotten at once, and connections when they have
/// ended on both sides. Only the ids that are known grow, up to a bound, and what open connections
/// hold, above all frames that wait for their counterparts: where that is more than 256 MiB, all
/// frames are judged as they are, and what was held is forgotten. What is left of a connection
/// then is less than 2 KiB.
pub fn compare<A: BufRead, B: BufRead>(
    a: Capture<A>,
    b: Capture<B>,
    meanings: &Meanings,
    dialect: Option<(String, String)>,
) -> Result<Report, CompareError> {
    compare_within(MAX_HELD, (a, b), meanings, dialect)
}

/// As [`compare`], with connections that hold at most `max_held` bytes.
fn compare_within<A: BufRead, B: BufRead>(
    max_held: usize,
    (a, b): (Capture<A>, Capture<B>),
    meanings: &Meanings,
    dialect: Option<(String, String)>,
) -> Result<Report, CompareError> {
    let mut comparison = Comparison {
        connections: HashMap::new(),
        of: HashMap::new(),
        ids: IdMap::default(),
        report: Report::default(),
        meanings,
        dialect,
        held: 0,
        max_held,
        judged_early: false,
        ahead: None,
    };
    comparison.report.a.name = a.name.clone();
    comparison.report.b.name = b.name.clone();
    let (mut a, mut b) = (Some(a), Some(b));
    loop {
        let source = &comparison.report;
        let a_is_behind = match source.a.client_frames.cmp(&source.b.client_frames) {
            Ordering::Less => true,
            Ordering::Equal => comparison.ahead.is_none(),
            Ordering::Greater => false,
        };
        let a_is_next = b.is_none() || a_is_behind;
        let next_a = a.as_mut().filter(|_| a_is_next);
        match (next_a, b.as_mut()) {
            (Some(capture), _) => {
                if comparison.next(Side::A, capture)? {
                    a = None;
                }
            }
            (None, Some(capture)) => {
                if comparison.next(Side::B, capture)? {
                    b = None;
                }
            }
            (None, None) => return Ok(comparison.finish()),
        }
    }
}

struct Comparison<'m> {
    /// By the number in the first capture.
    connections: HashMap<u64, Connection>,
    /// The connection of the first capture that each one of the second plays.
    of: HashMap<u64, u64>,
    ids: IdMap,
    report: Report,
    meanings: &'m Meanings,
    dialect: Option<(String, String)>,
    /// The bytes that all connections hold.
    held: usize,
    /// The most that they may hold.
    max_held: usize,
    judged_early: bool,
    /// A connection with many frames of the first capture that wait for those of the second.
    ahead: Option<u64>,
}

impl Comparison<'_> {
    /// Reads the next line of a capture; true if it has ended.
    fn next<R: BufRead>(
        &mut self,
        side: Side,
        capture: &mut Capture<R>,
    ) -> Result<bool, CompareError> {
        let Some(line) = capture.reader.next() else { return Ok(true) };
        let number = capture.reader.line();
        match line? {
            Line::Capture(_) => {}
            Line::Open(open) => self.open(side, open, (&capture.name, number))?,
            Line::Frame(frame) => self.frame(side, frame, (&capture.name, number))?,
            Line::Close(close) => self.close(side, close),
            Line::Gap(gap) => {
                let (name, frames, reason) = (&capture.name, gap.frames, gap.reason);
                self.report.note(format!(
                    "{name}:{number}: {frames} frames are missing ({reason:?}): what they were \
                     compared with is not reliable"
                ));
            }
        }
        Ok(false)
    }

    fn source(&mut self, side: Side) -> &mut Source {
        match side {
            Side::A => &mut self.report.a,
            Side::B => &mut self.report.b,
        }
    }

    /// The number of a connection in the first capture.
    fn number(&self, side: Side, connection: u64) -> u64 {
        match side {
            Side::A => connection,
            Side::B => self.of.get(&connection).copied().unwrap_or(connection),
        }
    }

    fn open(
        &mut self,
        side: Side,
        open: Box<Open>,
        place: (&str, u64),
    ) -> Result<(), CompareError> {
        self.source(side).connections += 1;
        if side == Side::B
            && let Some(of) = open.of
        {
            self.of.insert(open.connection, of);
        }
        let number = self.number(side, open.connection);
        let named = (open.dialect.clone(), open.revision.clone());
        let connection = self.connections.entry(number).or_insert_with(|| Connection::new(number));
        self.held -= connection.held();
        connection.open(side, open);
        self.held += connection.held();
        self.judge_early();
        self.set_dialect(number, named, place)
    }

    fn set_dialect(
        &mut self,
        number: u64,
        (id, revision): (Option<String>, Option<String>),
        (name, line): (&str, u64),
    ) -> Result<(), CompareError> {
        let Some(connection) = self.connections.get_mut(&number) else { return Ok(()) };
        let known = connection.dialect();
        let named = match (id, revision, known) {
            (Some(id), revision, _) => Some((id, revision.unwrap_or_else(|| DOC.to_owned()))),
            (None, Some(revision), Some((id, _))) => Some((id.clone(), revision)),
            (None, _, _) => None,
        };
        let Some((id, revision)) = self.dialect.clone().or(named) else { return Ok(()) };
        if known.is_some_and(|(known, of)| (known, of) == (&id, &revision)) {
            return Ok(());
        }
        let named = (id, revision);
        let Some(rules) = self.meanings.rules(&named) else {
            return Err(CompareError::UnknownDialect {
                name: name.to_owned(),
                line,
                dialect: format!("{}/{}", named.0, named.1),
                existing: self.meanings.names().join(", "),
            });
        };
        connection.set_dialect(Some(named), rules);
        Ok(())
    }

    fn frame(
        &mut self,
        side: Side,
        frame: Box<CapturedFrame>,
        (name, line): (&str, u64),
    ) -> Result<(), CompareError> {
        if frame.text.is_none() && frame.base64.is_some() {
            frame.payload().map_err(|error| CompareError::Frame {
                name: name.to_owned(),
                line,
                error,
            })?;
        }
        let source = self.source(side);
        match frame.from {
            Sender::Client => source.client_frames += 1,
            Sender::Server => source.server_frames += 1,
        }
        let number = self.number(side, frame.connection);
        // A capture that goes on where another ended may have frames without their opening.
        self.connections.entry(number).or_insert_with(|| Connection::new(number));
        self.set_dialect(number, (frame.dialect.clone(), frame.revision.clone()), (name, line))?;
        let Some(connection) = self.connections.get_mut(&number) else { return Ok(()) };
        let mut shared =
            Shared { ids: &mut self.ids, report: &mut self.report, meanings: self.meanings };
        self.held -= connection.held();
        connection.frame(side, line, frame, &mut shared);
        self.held += connection.held();
        if connection.is_ahead() {
            self.ahead = Some(number);
        } else if self.ahead == Some(number) {
            self.ahead = None;
        }
        self.judge_early();
        Ok(())
    }

    /// Judges all frames as they are, if more is held than may be.
    fn judge_early(&mut self) {
        if self.held <= self.max_held {
            return;
        }
        if !std::mem::replace(&mut self.judged_early, true) {
            self.report.note(
                "so much waited that frames were judged before their counterparts were read: the \
                 captures are out of step, or have very many open connections"
                    .to_owned(),
            );
        }
        let mut shared =
            Shared { ids: &mut self.ids, report: &mut self.report, meanings: self.meanings };
        for connection in self.connections.values_mut() {
            connection.settle_all(&mut shared);
        }
        self.held = self.connections.values().map(Connection::held).sum();
        self.ahead = None;
    }

    fn close(&mut self, side: Side, close: Close) {
        let number = self.number(side, close.connection);
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.close(side, close);
        if connection.has_ended()
            && let Some(connection) = self.connections.remove(&number)
        {
            self.held -= connection.held();
            if let Some(in_b) = connection.number_in_b() {
                self.of.remove(&in_b);
            }
            self.ahead = self.ahead.filter(|ahead| *ahead != number);
            self.finish_connection(connection);
        }
    }

    fn finish_connection(&mut self, mut connection: Connection) {
        let mut shared =
            Shared { ids: &mut self.ids, report: &mut self.report, meanings: self.meanings };
        connection.finish(&mut shared);
    }

    fn finish(mut self) -> Report {
        let mut rest: Vec<(u64, Connection)> = self.connections.drain().collect();
        rest.sort_by_key(|(number, _)| *number);
        for (_, connection) in rest {
            self.finish_connection(connection);
        }
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const HEADER: &str = r#"{"type":"capture","form":"tolmach-capture/1","recorder":"proxy"}"#;

    fn compared(max_held: usize, lines: &[String]) -> Report {
        let text = format!("{HEADER}\n{}\n", lines.join("\n"));
        let capture = |name: &str| Capture {
            name: name.to_owned(),
            reader: Reader::new(name, text.as_bytes()),
        };
        compare_within(max_held, (capture("a"), capture("b")), &Meanings::default(), None).unwrap()
    }

    #[test]
    fn what_connections_hold_is_bounded_whatever_it_is() {
        let open = |header: &str| {
            json!({
                "type": "open", "connection": 1, "at": 0, "transport": "websocket",
                "request": {"method": "GET", "uri": "/", "headers": [["x", header]]},
            })
        };
        let frame = |from: &str, name: &str| {
            json!({
                "type": "frame", "connection": 1, "at": 1, "from": from, "kind": "text",
                "text": json!({"type": name}).to_string(),
            })
        };
        let long = "n".repeat(3_000);
        for (kind, lines) in [
            ("an opening", vec![open(&long)]),
            ("names of requests", vec![open(""), frame("client", &long)]),
            (
                "requests that were answered",
                std::iter::once(open(""))
                    .chain((0..100).flat_map(|_| [frame("client", "a"), frame("server", "a")]))
                    .collect(),
            ),
        ] {
            let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
            let (narrow, wide) = (compared(2_000, &lines), compared(1 << 20, &lines));
            assert!(narrow.notes.iter().any(|note| note.starts_with("so much")), "{kind}");
            assert_eq!(wide.notes, Vec::<String>::new(), "{kind}");
            assert!(wide.is_same(), "{kind}");
        }
    }
}
