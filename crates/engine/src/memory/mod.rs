//! Every port in memory: for tests, and for tools that need no outside world. Nothing here survives
//! the process, and [`PlainPasswords`], [`PlainSigner`] and [`SeededEntropy`] protect nothing.

mod bus;
mod small;
mod store;

pub use bus::MemoryBus;
pub use small::{
    ManualClock, MemoryBlobs, MemoryMailer, PlainPasswords, PlainSigner, SeededEntropy,
};
pub use store::MemoryStore;
