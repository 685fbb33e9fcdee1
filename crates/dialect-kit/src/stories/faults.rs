//! Every fault.

use std::time::Duration;
use tolmach_domain::Fault;

/// Every fault; a test with an exhaustive match keeps the list complete.
pub fn all_faults() -> Vec<Fault> {
    vec![
        Fault::Unauthenticated,
        Fault::WrongCredentials { login_exists: false },
        Fault::WrongCredentials { login_exists: true },
        Fault::LoginTaken,
        Fault::NoProfile,
        Fault::ProfileExists,
        Fault::NoSuchUser,
        Fault::NoSuchFlow,
        Fault::NoSuchMessage,
        Fault::NoPhoto,
        Fault::WrongKind,
        Fault::NotOwner,
        Fault::NotAuthor,
        Fault::NotAdministrator,
        Fault::NoBusiness,
        Fault::AlreadyMember,
        Fault::NotMember,
        Fault::KeyReused,
        Fault::invalid("text", "at least one character is expected"),
        Fault::TooMany { retry_after: Duration::from_secs(30) },
        Fault::Unavailable,
        Fault::Internal,
    ]
}
