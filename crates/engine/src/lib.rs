//! The use cases and their permissions, on ports that others implement.
//!
//! The engine knows no dialect, no HTTP and no database: what it needs of the world it asks of the
//! [`ports`].

mod accounts;
mod authentication;
mod engine;
mod flows;
mod limits;
pub mod memory;
mod messages;
pub mod ports;
#[cfg(feature = "suites")]
pub mod suites;
mod throttle;

pub use authentication::Principal;
pub use engine::*;
pub use limits::*;
