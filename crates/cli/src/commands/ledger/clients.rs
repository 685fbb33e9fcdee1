//! Reading the clients of the ledger.

use crate::backend::Backend;
use crate::error::CliError;
use crate::lifecycle_arguments::Version;
use std::collections::HashSet;
use tolmach_domain::UserId;
use tolmach_engine::ports::{LedgerDay, LedgerQuery, LedgerRecord, LedgerScope};

/// Clients read at once, with all that they used.
const PAGE: u32 = 200;

/// The clients to read.
pub(super) struct Clients {
    pub(super) version: Option<Version>,
    pub(super) user: Option<UserId>,
    /// Clients that sent nothing since are left out.
    pub(super) since: LedgerDay,
}

impl Clients {
    /// Visits each client once, page by page: those of a revision together, in the order of their
    /// last days. A client that sends a request meanwhile may have more than is visited.
    pub(super) async fn visit(
        &self,
        backend: &Backend,
        mut visit: impl FnMut(LedgerRecord) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let mut visited = HashSet::new();
        for scope in self.scopes(backend).await? {
            let mut query = LedgerQuery { scope, since: self.since, after: None, limit: PAGE };
            loop {
                let page = backend.engine.ledger_page(&query).await?;
                for record in page.records {
                    let client = &record.client;
                    if self.names(&client.dialect, &client.revision) && visited.insert(record.id) {
                        visit(record)?;
                    }
                }
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn scopes(&self, backend: &Backend) -> Result<Vec<LedgerScope>, CliError> {
        if let Some(user) = self.user {
            return Ok(vec![LedgerScope::User(user)]);
        }
        let mut revisions = backend.engine.ledger_revisions().await?;
        revisions.retain(|revision| self.names(&revision.dialect, &revision.revision));
        Ok(revisions.into_iter().map(LedgerScope::Revision).collect())
    }

    /// True if a revision is among those to read.
    fn names(&self, dialect: &str, revision: &str) -> bool {
        self.version.as_ref().is_none_or(|version| {
            version.dialect == dialect
                && version.revision.as_deref().is_none_or(|named| named == revision)
        })
    }
}
