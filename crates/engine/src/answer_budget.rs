//! The size of an answer in bytes, as every store bounds it.
//!
//! A record counts the bytes of its texts as JSON strings, escapes included, and a constant for the
//! rest, which every dialect's encoding stays below. The first record of an answer is always part
//! of it, so that an answer can be continued.

use tolmach_domain::{FlowSummary, Message, User};

/// The size of a record without its texts: keys, ids, times, punctuation.
const RECORD_BYTES: usize = 256;

/// The size of an attached file without its data.
const ATTACHMENT_BYTES: usize = 64;

/// The largest size of a text in a list of flows, in bytes.
pub const PREVIEW_BYTES: usize = 1 << 10;

/// The largest number of members of a flow in a list of flows.
pub const LISTED_MEMBERS: usize = 64;

/// The largest number of records that an answer of this size may have.
pub fn most_records(max_bytes: usize) -> usize {
    (max_bytes / RECORD_BYTES).max(1)
}

/// The bytes that the records of an answer may still take.
#[derive(Debug)]
pub struct AnswerBudget {
    left: usize,
    is_empty: bool,
}

impl AnswerBudget {
    /// A budget of this many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { left: max_bytes, is_empty: true }
    }

    /// Takes the size of the next record. False if it does not fit: the answer ends before it. The
    /// first record always fits.
    pub fn take(&mut self, bytes: usize) -> bool {
        let fits = self.is_empty || bytes <= self.left;
        if fits {
            self.left = self.left.saturating_sub(bytes);
            self.is_empty = false;
        }
        fits
    }

    /// True if no record was taken.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The bytes left.
    pub fn left(&self) -> usize {
        self.left
    }
}

/// The number of leading records, given by their sizes, that fit together: at least one, if there
/// is one.
pub fn fitting(sizes: impl IntoIterator<Item = usize>, max_bytes: usize) -> usize {
    let mut budget = AnswerBudget::new(max_bytes);
    sizes.into_iter().take_while(|size| budget.take(*size)).count()
}

/// The size of a message in an answer.
pub fn message_size(message: &Message) -> usize {
    let (author, content) = (&message.author, &message.content);
    let attachments = content.attachments.iter();
    RECORD_BYTES
        + json_size(&author.login)
        + json_size(&author.username)
        + json_size(&author.name)
        + json_size(&content.text)
        + content.emoji.as_deref().map_or(0, json_size)
        + attachments.map(|file| ATTACHMENT_BYTES + json_size(&file.data)).sum::<usize>()
}

/// The size of a user in an answer.
pub fn user_size(user: &User) -> usize {
    let texts = [&user.login, &user.username, &user.name, &user.bio].map(|text| json_size(text));
    let others = [&user.email, &user.phone, &user.avatar];
    let others = others.map(|text| text.as_deref().map_or(0, json_size));
    RECORD_BYTES + texts.iter().chain(&others).sum::<usize>()
}

/// The size of a flow in an answer, with its members and its last message.
pub fn flow_summary_size(summary: &FlowSummary) -> usize {
    size_without_members(summary) + summary.members.iter().map(user_size).sum::<usize>()
}

fn size_without_members(summary: &FlowSummary) -> usize {
    RECORD_BYTES
        + json_size(&summary.flow.title)
        + json_size(&summary.flow.info)
        + summary.last.as_ref().map_or(0, message_size)
}

/// The first flows of a list that fit an answer together. The members of the first one are cut to
/// those that fit.
pub fn fitting_flows(
    summaries: impl IntoIterator<Item = FlowSummary>,
    max_bytes: usize,
) -> Vec<FlowSummary> {
    let mut budget = AnswerBudget::new(max_bytes);
    let fitting = summaries.into_iter().map_while(|mut summary| {
        if budget.is_empty() {
            cut_members(&mut summary, max_bytes);
        }
        budget.take(flow_summary_size(&summary)).then_some(summary)
    });
    fitting.collect()
}

/// Cuts the members of a flow to the first ones that fit an answer.
pub fn cut_members(summary: &mut FlowSummary, max_bytes: usize) {
    let mut left = max_bytes.saturating_sub(size_without_members(summary));
    let fitting = summary.members.iter().map(user_size).take_while(|size| {
        let rest = left.checked_sub(*size);
        left = rest.unwrap_or_default();
        rest.is_some()
    });
    let fitting = fitting.count();
    summary.members.truncate(fitting);
}

/// Cuts the members of a flow to those in a list of flows: the first [`LISTED_MEMBERS`], with one
/// who has the business tariff in the place of the last, if only later ones have it.
pub(crate) fn cut_to_listed(members: &mut Vec<User>) {
    let business = members.iter().position(|member| member.business);
    if let Some(business) = business.filter(|index| *index >= LISTED_MEMBERS) {
        members.swap(LISTED_MEMBERS - 1, business);
    }
    members.truncate(LISTED_MEMBERS);
}

/// Cuts a message to its form in a list of flows: a text of at most [`PREVIEW_BYTES`], without
/// attached files and emoji.
pub fn cut_to_preview(message: &mut Message) {
    let content = &mut message.content;
    let end = content.text.floor_char_boundary(PREVIEW_BYTES);
    content.text.truncate(end);
    content.text.shrink_to_fit();
    content.attachments = Vec::new();
    content.emoji = None;
}

/// The size of a text as a JSON string, without its quotes.
fn json_size(text: &str) -> usize {
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 1,
        0..0x20 => 5,
        _ => 0,
    });
    text.len() + escapes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{Content, FlowId, FlowKind, MessageId, Timestamp, UserId, UserSummary};

    fn message(text: &str) -> Message {
        let author = UserSummary::named(UserId::new(1).unwrap(), "anna");
        let flow = (FlowId::new(1).unwrap(), FlowKind::Group);
        let id = MessageId::new(1).unwrap();
        Message::new(id, flow, author, Content::text(text), Timestamp::default())
    }

    #[test]
    fn a_text_counts_as_its_json_string() {
        for (text, encoded) in [
            ("", ""),
            ("plain", "plain"),
            ("\"quoted\" \\", r#"\"quoted\" \\"#),
            ("\n\r\t\u{8}\u{c}", r"\n\r\t\b\f"),
            ("\u{1}\u{1f}\u{7f}", "\\u0001\\u001f\u{7f}"),
            ("Привет 😀", "Привет 😀"),
        ] {
            let size = message_size(&message(text)) - message_size(&message(""));
            assert_eq!(size, encoded.len(), "{text:?}");
        }
    }

    #[test]
    fn records_fit_up_to_the_last_byte_and_the_first_always() {
        for (sizes, max_bytes, expected) in [
            (&[10, 10, 10][..], 30, 3),
            (&[10, 10, 10], 29, 2),
            (&[10, 10, 1], 20, 2),
            (&[50, 1], 20, 1),
            (&[], 20, 0),
            (&[0, 0], 0, 2),
        ] {
            assert_eq!(fitting(sizes.iter().copied(), max_bytes), expected, "{sizes:?}");
        }
    }

    #[test]
    fn a_preview_ends_between_two_characters() {
        for (text, length) in [
            ("x".repeat(1024), 1024),
            ("x".repeat(1025), 1024),
            ("x".to_owned() + &"я".repeat(600), 1023),
        ] {
            let mut message = message(&text);
            cut_to_preview(&mut message);
            assert_eq!(message.content.text.len(), length);
            assert!(text.starts_with(&message.content.text));
        }
    }
}
