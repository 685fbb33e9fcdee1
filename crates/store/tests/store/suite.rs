//! The suite on SQLite and on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;
use tolmach_engine::ports::{Bus, Store};
use tolmach_store::{Options, SqlStore};

/// Options with a long timeout, because many trials share the machine.
fn patient() -> Options {
    Options { timeout: Duration::from_secs(60), ..Options::default() }
}

mod sqlite {
    use super::*;
    use tempfile::TempDir;

    async fn make(bus: Arc<dyn Bus>) -> Option<(Arc<dyn Store>, TempDir)> {
        let folder = tempfile::tempdir().expect("a folder can be created");
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("tolmach.db").display());
        Some((
            SqlStore::open(&url, bus, patient()).await.expect("a new file can be opened"),
            folder,
        ))
    }

    tolmach_engine::store_suite!(make);
}

mod postgres {
    use super::*;
    use tolmach_test_servers::{Durability, Postgres};

    async fn make(bus: Arc<dyn Bus>) -> Option<(Arc<dyn Store>, Postgres)> {
        let server = Postgres::start_or_skip(Durability::Fast)?;
        Some((
            SqlStore::open(&server.url(), bus, patient())
                .await
                .expect("a new database can be opened"),
            server,
        ))
    }

    tolmach_engine::store_suite!(make);
}
