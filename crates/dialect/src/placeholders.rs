//! Placeholders for ids that a wire leaves out, on the client's side.

use tolmach_domain::{FlowId, ID_LIMIT, MessageId, Timestamp, UserId, UserSummary};

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
    text.bytes().fold(before, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
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
}
