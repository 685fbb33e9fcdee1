//! The use cases and their permissions, on the ports in memory.

mod accounts;
mod fixture;
mod flows;
mod login_throttle;
mod permissions;
mod sessions;
