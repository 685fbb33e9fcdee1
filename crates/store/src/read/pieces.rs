//! Messages read piece by piece, so that a large answer is not in the memory of the database driver
//! as a whole.

use tolmach_domain::Message;
use tolmach_engine::message_size;

/// The size at which a statement takes no further message, in bytes. SQLite sorts all that it
/// finds, and copies each row, in memory of the C library, which keeps most of it.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// The growth of pieces in messages.
const GROWTH: usize = 4;

/// Messages that are read piece by piece, each by a statement that finds those after the last one.
pub(super) struct Pieces {
    messages: Vec<Message>,
    /// The size of these messages in the answer.
    bytes: usize,
    limit: usize,
    max_bytes: usize,
    /// The next piece; `None` after the last.
    next: Option<Piece>,
}

/// The bounds of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// The largest number of messages.
    pub(super) limit: usize,
    /// The size of stored contents at which the statement takes no further message.
    pub(super) max_bytes: usize,
}

impl Pieces {
    /// An answer of at most `limit` messages, which ends with the first one beyond `max_bytes`.
    pub(super) fn new(limit: usize, max_bytes: usize) -> Self {
        let mut pieces = Self { messages: Vec::new(), bytes: 0, limit, max_bytes, next: None };
        pieces.plan(limit);
        pieces
    }

    /// The piece to read.
    pub(super) fn next(&self) -> Option<Piece> {
        self.next
    }

    /// The last message of the pieces so far.
    pub(super) fn last(&self) -> Option<&Message> {
        self.messages.last()
    }

    /// Adds what the statement of the piece found.
    pub(super) fn add(&mut self, found: Vec<Message>) {
        let Some(piece) = self.next.take() else { return };
        let (count, bytes) = (found.len(), found.iter().map(message_size).sum::<usize>());
        self.bytes += bytes;
        self.messages.extend(found);
        // A message counts more here than in the statement: a piece that seems cut may be all.
        let is_cut = count == piece.limit || bytes > piece.max_bytes;
        if is_cut && self.bytes <= self.max_bytes {
            self.plan(count.saturating_mul(GROWTH));
        }
    }

    /// All messages, in the order in which they were read.
    pub(super) fn into_messages(self) -> Vec<Message> {
        self.messages
    }

    fn plan(&mut self, limit: usize) {
        let limit = limit.min(self.limit - self.messages.len().min(self.limit));
        let max_bytes = PIECE_BYTES.min(self.max_bytes.saturating_sub(self.bytes));
        self.next = (limit > 0).then_some(Piece { limit, max_bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{
        Content, FlowId, FlowKind, MessageId, Timestamp, UserId, UserSummary, Version,
    };

    /// Messages of a flow whose texts have these sizes, in order.
    fn flow_of(sizes: &[usize]) -> Vec<Message> {
        let flow = (FlowId::new(1).unwrap(), FlowKind::Group);
        let author = UserSummary::named(UserId::new(1).unwrap(), "anna");
        let message = |(number, size): (i64, &usize)| {
            let id = MessageId::new(number).unwrap();
            let content = Content::text("x".repeat(*size));
            let message = Message::new(id, flow, author.clone(), content, Timestamp::default());
            Message { posted: Version(number), ..message }
        };
        (1..).zip(sizes).map(message).collect()
    }

    /// The rows of a statement for a piece after a message.
    fn statement(flow: &[Message], after: i64, piece: Piece) -> Vec<Message> {
        let (mut found, mut total) = (Vec::new(), 0);
        for message in flow.iter().filter(|message| message.posted.0 > after).take(piece.limit) {
            if total > piece.max_bytes {
                break;
            }
            total += message.content.text.len();
            found.push(message.clone());
        }
        found
    }

    /// The lengths of the pieces of an answer, and all its messages.
    fn read(flow: &[Message], limit: usize, max_bytes: usize) -> (Vec<usize>, Vec<Message>) {
        let (mut pieces, mut lengths) = (Pieces::new(limit, max_bytes), Vec::new());
        while let Some(piece) = pieces.next() {
            let after = pieces.last().map_or(0, |last| last.posted.0);
            let found = statement(flow, after, piece);
            let stored: usize = found.iter().map(|message| message.content.text.len()).sum();
            let largest = found.last().map_or(0, |last| last.content.text.len());
            assert!(stored <= PIECE_BYTES + largest, "{stored} bytes are a piece");
            lengths.push(found.len());
            pieces.add(found);
        }
        (lengths, pieces.into_messages())
    }

    #[test]
    fn an_answer_in_pieces_has_the_messages_that_one_statement_finds() {
        const LARGE: usize = 64 << 10;
        const ROOM: usize = 8 << 20;
        for (sizes, limit, max_bytes, lengths) in [
            (vec![], 10, ROOM, vec![0]),
            (vec![1; 5], 0, ROOM, vec![]),
            (vec![1; 5], 10, ROOM, vec![5]),
            (vec![1; 5], 5, ROOM, vec![5]),
            (vec![1; 5], 3, ROOM, vec![3]),
            // 17 of them exceed a piece.
            (vec![LARGE; 40], 100, ROOM, vec![17, 17, 6]),
            (vec![LARGE; 34], 100, ROOM, vec![17, 17, 0]),
            (vec![LARGE; 40], 20, ROOM, vec![17, 3]),
            (vec![LARGE; 40], 100, 2 << 20, vec![17, 15]),
            (vec![LARGE; 40], 100, 100, vec![1]),
            (vec![15 << 20, 1, 1], 10, ROOM, vec![1]),
            (vec![1, 15 << 20, 1], 10, 32 << 20, vec![2, 1]),
            // A piece has at most four times the messages of the one before.
            ([vec![2 << 20], vec![1; 50]].concat(), 100, ROOM, vec![1, 4, 16, 30]),
        ] {
            let flow = flow_of(&sizes);
            let (read_lengths, messages) = read(&flow, limit, max_bytes);
            let whole = statement(&flow, 0, Piece { limit, max_bytes });
            let all = |messages: &[Message]| {
                tolmach_engine::fitting(messages.iter().map(message_size), max_bytes)
            };
            assert_eq!(messages[..all(&messages)], whole[..all(&whole)], "{limit}, {max_bytes}");
            assert_eq!(read_lengths, lengths, "{limit}, {max_bytes}");
        }
    }
}
