//! Placeholders for ids that a wire leaves out.

use tolmach_domain::{FlowId, ID_LIMIT, UserId, UserSummary};

/// The lowest placeholder. Servers that count from one never reach the upper half of the ids.
const FIRST_PLACEHOLDER: i64 = ID_LIMIT / 2;

/// The id of a user of whom only the login is known: a hash of it (FNV-1a) without regard to case,
/// so that it is the same in every session and in every dialect.
pub(super) fn placeholder_user_id(login: &str) -> UserId {
    let hash = login.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let number = i64::try_from(hash >> 12).unwrap_or_default() | FIRST_PLACEHOLDER;
    UserId::new(number).expect("52 bits with the uppermost set are an id")
}

/// The summary of a user of whom only the login is known.
pub(super) fn placeholder_user(login: &str) -> UserSummary {
    UserSummary::named(placeholder_user_id(login), login)
}

/// The flow of a message whose flow is not known.
pub(super) fn placeholder_flow_id() -> FlowId {
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
    }
}
