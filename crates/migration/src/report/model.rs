//! The result of a comparison.

use serde::Serialize;
use std::collections::BTreeMap;

/// The most examples of an operation.
const MAX_EXAMPLES: usize = 5;
/// The most fields of an operation that are counted apart. Those beyond are counted together.
const MAX_FIELDS: usize = 200;
/// The most operations that are counted apart. Those beyond are counted together.
const MAX_OPERATIONS: usize = 2_000;
/// The most notes.
const MAX_NOTES: usize = 100;
/// The longest name of an operation and path of a field, in bytes. Longer ones are counted
/// together.
const MAX_NAME: usize = 256;
/// The longest frame of an example, in bytes.
const MAX_FRAME: usize = 4_096;
/// The name of what is beyond a bound.
const OTHERS: &str = "(others)";

/// The outcome of a comparison, operation by operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The first server's capture.
    pub a: Source,
    /// The second server's capture.
    pub b: Source,
    /// The sums over all operations.
    pub total: Counts,
    /// By operation: the command of a request, the name of an event, or `close`.
    pub operations: BTreeMap<String, Operation>,
    /// Remarks on the captures: gaps, connections that were not played.
    pub notes: Vec<String>,
}

/// One of the two captures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its connections.
    pub connections: u64,
    /// The frames of its clients.
    pub client_frames: u64,
    /// The frames of its server.
    pub server_frames: u64,
}

/// The number of frames by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames of both that are the same but for ids, tokens and times.
    pub same: u64,
    /// Frames of both that differ and mean the same.
    pub same_meaning: u64,
    /// Frames of both that differ.
    pub differs: u64,
    /// Frames of the first server without one of the second.
    pub missing: u64,
    /// Frames of the second server without one of the first.
    pub extra: u64,
    /// Frames of both that are the same and come in another order.
    pub order: u64,
}

/// The frames of one operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// The number of frames by verdict.
    #[serde(flatten)]
    pub counts: Counts,
    /// The number of frames that differ in a field, by its path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, u64>,
    /// The first frames of each verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

/// The outcome of comparing two frames, or of one without another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The same but for ids, tokens and times.
    Same,
    /// Different frames with one meaning.
    SameMeaning,
    /// Different frames.
    Differs,
    /// A frame of the first server alone.
    Missing,
    /// A frame of the second server alone.
    Extra,
    /// The same frames in another order.
    Order,
}

/// Frames that are not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The verdict.
    pub verdict: Verdict,
    /// The number of the connection in the first capture.
    pub connection: u64,
    /// The client's frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The first server's frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Cited>,
    /// The second server's frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Cited>,
    /// The fields that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDifference>,
}

/// A frame with its line in the capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cited {
    /// The line, from 1.
    pub line: u64,
    /// The frame as text, cut where it is long.
    pub frame: String,
}

/// A field in which two frames differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FieldDifference {
    /// The keys that lead to it, divided by `/`; the items of a list have the path of the list. Of
    /// a response's head `status`, or `header` with the name.
    pub path: String,
    /// The value of the first server; `None` if it has none there.
    pub a: Option<String>,
    /// The value of the second server; `None` if it has none there.
    pub b: Option<String>,
    /// True if the values of a list are the same in another order.
    #[serde(skip_serializing_if = "is_false")]
    pub order: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Verdict {
    /// The verdict in words.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Same => "same",
            Verdict::SameMeaning => "same meaning",
            Verdict::Differs => "differs",
            Verdict::Missing => "missing",
            Verdict::Extra => "extra",
            Verdict::Order => "order",
        }
    }
}

impl Counts {
    /// Adds frames with this verdict.
    fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Same => &mut self.same,
            Verdict::SameMeaning => &mut self.same_meaning,
            Verdict::Differs => &mut self.differs,
            Verdict::Missing => &mut self.missing,
            Verdict::Extra => &mut self.extra,
            Verdict::Order => &mut self.order,
        } += 1;
    }

    /// The number with this verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Same => self.same,
            Verdict::SameMeaning => self.same_meaning,
            Verdict::Differs => self.differs,
            Verdict::Missing => self.missing,
            Verdict::Extra => self.extra,
            Verdict::Order => self.order,
        }
    }

    /// The number of frames that are not the same.
    pub fn differences(&self) -> u64 {
        self.same_meaning + self.differs + self.missing + self.extra + self.order
    }
}

impl Report {
    /// Counts frames of an operation that are the same.
    pub fn add_same(&mut self, operation: &str) {
        self.total.add(Verdict::Same);
        self.operation(operation).counts.add(Verdict::Same);
    }

    /// Counts frames of an operation that are not the same. The first of each verdict are kept.
    pub fn add(&mut self, operation: &str, example: Example) {
        self.total.add(example.verdict);
        let operation = self.operation(operation);
        operation.counts.add(example.verdict);
        for field in &example.fields {
            let is_bounded = field.path.len() <= MAX_NAME
                && (operation.fields.len() < MAX_FIELDS
                    || operation.fields.contains_key(&field.path));
            let path = if is_bounded { field.path.as_str() } else { OTHERS };
            match operation.fields.get_mut(path) {
                Some(count) => *count += 1,
                None => {
                    operation.fields.insert(path.to_owned(), 1);
                }
            }
        }
        let of_verdict = |known: &&Example| known.verdict == example.verdict;
        if operation.examples.iter().filter(of_verdict).count() < MAX_EXAMPLES {
            operation.examples.push(example);
        }
    }

    /// Adds a note.
    pub fn note(&mut self, note: String) {
        match self.notes.len() {
            count if count < MAX_NOTES => self.notes.push(note),
            MAX_NOTES => self.notes.push("there are more notes than these".to_owned()),
            _ => {}
        }
    }

    /// True if everything is the same.
    pub fn is_same(&self) -> bool {
        self.total.differences() == 0
    }

    /// True if everything is the same or means the same.
    pub fn is_same_by_meaning(&self) -> bool {
        self.total.differences() == self.total.same_meaning
    }

    fn operation(&mut self, name: &str) -> &mut Operation {
        let is_bounded = name.len() <= MAX_NAME
            && (self.operations.len() < MAX_OPERATIONS || self.operations.contains_key(name));
        let name = if is_bounded { name } else { OTHERS };
        if !self.operations.contains_key(name) {
            self.operations.insert(name.to_owned(), Operation::default());
        }
        self.operations.get_mut(name).expect("it was inserted where it was not there")
    }
}

/// A text of at most as many bytes as an example has.
pub(crate) fn cut(text: &str) -> String {
    if text.len() <= MAX_FRAME {
        return text.to_owned();
    }
    let end = (0..=MAX_FRAME).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}… ({} bytes)", &text[..end], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(verdict: Verdict, path: &str) -> Example {
        Example {
            verdict,
            connection: 1,
            request: None,
            a: None,
            b: None,
            fields: vec![FieldDifference {
                path: path.to_owned(),
                a: None,
                b: Some("1".to_owned()),
                order: false,
            }],
        }
    }

    #[test]
    fn everything_is_counted_and_examples_and_fields_are_bounded() {
        let mut report = Report::default();
        report.add_same("send");
        assert!(report.is_same());
        for number in 0..MAX_FIELDS + 10 {
            report.add("send", example(Verdict::Differs, &number.to_string()));
        }
        report.add("send", example(Verdict::SameMeaning, "0"));
        let send = &report.operations["send"];
        assert_eq!((send.counts.same, send.counts.differs), (1, MAX_FIELDS as u64 + 10));
        assert_eq!(send.examples.len(), MAX_EXAMPLES + 1);
        assert_eq!((send.fields.len(), send.fields[OTHERS]), (MAX_FIELDS + 1, 10));
        assert_eq!(send.fields["0"], 2);
        assert!(!report.is_same() && !report.is_same_by_meaning());
        for number in 0..MAX_OPERATIONS + 10 {
            report.add_same(&number.to_string());
            report.note(String::new());
        }
        assert_eq!(report.operations.len(), MAX_OPERATIONS + 1);
        let others = report.operations[OTHERS].counts.same;
        report.add_same(&"x".repeat(MAX_NAME + 1));
        assert_eq!(report.operations[OTHERS].counts.same, others + 1);
        assert_eq!(report.notes.len(), MAX_NOTES + 1);
    }

    #[test]
    fn long_frames_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(MAX_FRAME);
        let cut = cut(&long);
        assert!(cut.ends_with("… (8192 bytes)") && cut.len() < MAX_FRAME + 30, "{cut}");
        assert!(cut.starts_with("éé"));
    }
}
