//! A store in an SQLite file passes the suite.

use std::sync::Arc;
use tempfile::TempDir;
use tolmach_engine::ports::{Bus, Store};
use tolmach_store::{Options, SqlStore};

async fn make(bus: Arc<dyn Bus>) -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("tolmach.db").display());
    // Many trials share the machine: time is not what they are about.
    let options = Options { timeout: std::time::Duration::from_secs(60), ..Options::default() };
    (SqlStore::open(&url, bus, options).await.expect("a new file can be opened"), folder)
}

tolmach_engine::store_suite!(make);
