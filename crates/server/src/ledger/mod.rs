//! The ledger: counts the requests of each client by dialect, revision and operation, and writes
//! the counts to the store at intervals, off the way of the requests.

mod table;
mod usage;
mod writer;

pub(crate) use table::CountedRequest;
pub(crate) use usage::Usage;
pub(crate) use writer::Ledger;
