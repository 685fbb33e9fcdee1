//! Every port in memory: for tests, and for tools without external servers. The data is lost with
//! the process, and [`PlainPasswords`], [`PlainSigner`] and [`SeededEntropy`] are not secure.

mod bus;
mod small;
mod store;
mod sync;

pub use bus::MemoryBus;
pub use small::{
    ManualClock, MemoryBlobs, MemoryMailer, PlainPasswords, PlainSigner, SeededEntropy,
};
pub use store::MemoryStore;
