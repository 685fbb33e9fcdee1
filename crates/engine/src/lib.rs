//! The use cases and their permissions, on [`ports`] that other crates implement.
//!
//! The engine knows no dialect, no HTTP and no database.

mod accounts;
mod authentication;
mod caller;
mod delayed_logins;
mod dispatch;
mod engine;
mod error_chain;
mod event_recovery;
mod faults;
mod flows;
mod limits;
mod login_throttle;
mod logins;
pub mod memory;
mod messages;
mod photos;
mod policy;
pub mod ports;
mod principal;
mod profiles;
mod recovery;
mod submission;
#[cfg(feature = "suites")]
pub mod suites;
mod tokens;

pub use engine::{Engine, Ports};
pub use error_chain::ErrorChain;
pub use event_recovery::event_from_message;
pub use limits::{
    BATCH_LIMIT, EMAIL_LIMIT, INFO_LIMIT, KEY_LIMIT, LOGIN_LIMIT, NAME_LIMIT, PAGE_LIMIT,
    PASSWORD_LIMIT, SEARCH_LIMIT, case_folded, check_message, check_storable,
};
pub use policy::{LoginThrottlePolicy, Policy};
pub use principal::Principal;
pub use submission::{DeferredWork, Handled, Submission, Submitted};
