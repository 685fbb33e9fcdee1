//! The store on real databases.

// The modules are marked as tests because clippy permits `unwrap` in helpers of such modules only.
#[cfg(test)]
mod commit_order;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod history_offsets;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod suite;
