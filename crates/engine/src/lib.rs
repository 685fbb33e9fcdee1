//! The use cases and their permissions, on [`ports`] that other crates implement.
//!
//! The engine knows no dialect, no HTTP and no database.
//!
//! ```
//! use std::sync::Arc;
//! use tolmach_domain::{Answer, Authority, Command, GrantKind, Registration, Secret, Timestamp};
//! use tolmach_engine::memory::{
//!     ManualClock, MemoryBlobs, MemoryBus, MemoryMailer, MemoryStore, PlainPasswords,
//!     PlainSigner, SeededEntropy,
//! };
//! use tolmach_engine::{Engine, Policy, Ports, Submission};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let bus = Arc::new(MemoryBus::new());
//! let ports = Ports {
//!     store: Arc::new(MemoryStore::new(bus.clone())),
//!     bus,
//!     clock: Arc::new(ManualClock::new(Timestamp::from_micros(0))),
//!     entropy: Arc::new(SeededEntropy::new(1)),
//!     mailer: Arc::new(MemoryMailer::new()),
//!     blobs: Arc::new(MemoryBlobs::new()),
//!     passwords: Arc::new(PlainPasswords),
//!     signer: Arc::new(PlainSigner),
//! };
//! let engine = Engine::new(ports, Policy::default());
//!
//! let account = Registration::new("anna", Secret::new("password"), GrantKind::Token);
//! let registered = engine
//!     .execute(Submission {
//!         caller: None,
//!         authority: Authority::Member,
//!         origin: None,
//!         address: None,
//!         command: Command::Register(Box::new(account)),
//!     })
//!     .await;
//! assert!(matches!(registered.outcome, Ok(Answer::Granted(_))));
//! assert!(registered.principal.is_some());
//! # }
//! ```

mod account_lookup;
mod accounts;
mod address_group;
mod answer_budget;
mod authentication;
mod blocks;
mod caller;
mod contacts;
mod counter_limits;
mod delayed_logins;
mod dispatch;
mod engine;
mod erasure;
mod error_chain;
mod event_recovery;
mod external_ids;
mod faults;
mod flows;
mod ledger;
mod limits;
mod login_throttle;
mod logins;
pub mod memory;
mod messages;
mod names;
mod openings;
mod photos;
mod policy;
pub mod ports;
mod principal;
mod profiles;
mod readable_flow;
mod recoveries;
mod recovery;
mod retention;
mod routing;
mod rules;
mod submission;
#[cfg(feature = "suites")]
pub mod suites;
mod tokens;
mod world;

pub use address_group::address_group;
pub use answer_budget::{
    AnswerBudget, LISTED_MEMBERS, PREVIEW_BYTES, cut_members, cut_to_preview, fitting,
    fitting_flows, flow_summary_size, message_size, most_records, user_size,
};
pub use engine::{Engine, Ports};
pub use error_chain::ErrorChain;
pub use event_recovery::event_from_message;
pub use external_ids::{ExternalIds, WireId, WireIdMap};
pub use limits::{
    BATCH_LIMIT, EMAIL_LIMIT, INFO_LIMIT, KEY_LIMIT, LOGIN_LIMIT, NAME_LIMIT, PAGE_LIMIT,
    PASSWORD_LIMIT, SEARCH_LIMIT, case_folded, check_message, check_storable,
};
pub use names::{IMITATION, enforce_login, look_alikes};
pub use policy::{LoginThrottlePolicy, Policy, Quotas, ThrottlePolicy};
pub use principal::Principal;
pub use readable_flow::ReadableFlow;
pub use retention::PruneError;
pub use routing::{HERE, RoutedClient};
pub use rules::{Lifecycle, Refusal, RuleSet, RuledClient, RuledUser};
pub use submission::{DeferredWork, Handled, Submission, Submitted};
pub use world::ImportError;
