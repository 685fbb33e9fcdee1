//! Placeholders for ids that a wire leaves out, on the client's side.

use tolmach_domain::{ConnectionId, FlowId, ID_LIMIT, MessageId, Timestamp, UserId, UserSummary};

/// The lowest placeholder. Servers that count from one never reach the upper half of the ids.
const FIRST_PLACEHOLDER: i64 = ID_LIMIT / 2;

/// The id of a user of whom only the login is known: a hash of it (FNV-1a) without regard to case,
/// so that it is the same in every session and in every dialect.
pub fn placeholder_user_id(login: &str) -> UserId {
    UserId::new(placeholder_number(&login.to_lowercase())).expect(IS_ID)
}

/// True for the id of a user of whom only the login is known.
pub fn is_placeholder_user(user: UserId) -> bool {
    user.get() >= FIRST_PLACEHOLDER
}

/// The id of a message that has none on the wire: a hash of its author, its time and its text.
pub fn placeholder_message_id(login: &str, posted_at: Timestamp, text: &str) -> MessageId {
    let micros = posted_at.micros().to_string();
    let hash = [login, " ", &micros, " ", text].into_iter().fold(FNV_OFFSET, hash);
    MessageId::new(placeholder_of_hash(hash)).expect(IS_ID)
}

/// The id of the message with this number on this connection, where no frame tells more of it.
pub fn placeholder_numbered_message_id(connection: ConnectionId, number: u64) -> MessageId {
    let bytes = [connection.0, number].map(u64::to_le_bytes);
    let hash = bytes.iter().fold(FNV_OFFSET, |before, bytes| hash_bytes(before, bytes));
    MessageId::new(placeholder_of_hash(hash)).expect(IS_ID)
}

/// The invariant of [`placeholder_number`].
const IS_ID: &str = "52 bits with the uppermost set are an id";

/// A placeholder for a text.
pub(crate) fn placeholder_number(text: &str) -> i64 {
    placeholder_of_hash(hash(FNV_OFFSET, text))
}

/// The hash of nothing, FNV-1a.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of a text behind what was hashed before.
fn hash(before: u64, text: &str) -> u64 {
    hash_bytes(before, text.as_bytes())
}

fn hash_bytes(before: u64, bytes: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(before, add)
}

fn placeholder_of_hash(hash: u64) -> i64 {
    i64::try_from(hash >> 12).unwrap_or_default() | FIRST_PLACEHOLDER
}

/// The summary of a user of whom only the login is known.
pub fn placeholder_user(login: &str) -> UserSummary {
    UserSummary::named(placeholder_user_id(login), login)
}

/// The flow of a message whose flow is not known.
pub fn placeholder_flow_id() -> FlowId {
    FlowId::new(ID_LIMIT - 1).expect("the number before the limit is an id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_has_one_placeholder_whatever_its_case() {
        let id = |login| placeholder_user_id(login).get();
        assert_eq!(id("Ann"), id("aNN"));
        assert_ne!(id("ann"), id("bob"));
        assert!(id("") >= FIRST_PLACEHOLDER && id("Анна") < ID_LIMIT);
        assert!(is_placeholder_user(placeholder_user_id("")));
        let message = placeholder_message_id("ann", Timestamp::from_micros(12), "a b");
        assert_eq!(message.get(), placeholder_number("ann 12 a b"));
        assert!(!is_placeholder_user(UserId::new(FIRST_PLACEHOLDER - 1).unwrap()));
    }

    #[test]
    fn numbered_messages_of_all_connections_have_ids_of_their_own() {
        let numbers = |connection| (0..50).map(move |number| (ConnectionId(connection), number));
        let ids = (0..50).chain([u64::MAX]).flat_map(numbers);
        let ids =
            ids.map(|(connection, number)| placeholder_numbered_message_id(connection, number));
        let unique: std::collections::HashSet<_> = ids.collect();
        assert_eq!(unique.len(), 51 * 50);
        assert!(unique.iter().all(|id| id.get() >= FIRST_PLACEHOLDER && id.get() < ID_LIMIT));
    }
}
