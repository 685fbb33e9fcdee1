//! The use cases and their permissions, on the ports in memory.

mod accounts;
mod blocks;
mod contacts;
mod content;
mod departures;
mod external_ids;
mod fixture;
mod flows;
mod login_throttle;
mod openings;
mod permissions;
mod quotas;
mod sessions;
