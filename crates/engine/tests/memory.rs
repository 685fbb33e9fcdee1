//! The memory implementations pass the suites.

use std::sync::Arc;
use tolmach_engine::memory::{MemoryBlobs, MemoryBus, MemoryStore};
use tolmach_engine::ports::{Blobs, Bus, Store};

mod store {
    use super::*;

    async fn make(bus: Arc<dyn Bus>) -> Option<(Arc<dyn Store>, ())> {
        Some((Arc::new(MemoryStore::new(bus)), ()))
    }

    tolmach_engine::store_suite!(make);
}

mod bus {
    use super::*;

    fn make() -> Option<(Arc<dyn Bus>, ())> {
        Some((Arc::new(MemoryBus::new()), ()))
    }

    tolmach_engine::bus_suite!(make);
}

mod blobs {
    use super::*;

    async fn make() -> (Arc<dyn Blobs>, ()) {
        (Arc::new(MemoryBlobs::new()), ())
    }

    tolmach_engine::blobs_suite!(make);
}
