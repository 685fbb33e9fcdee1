//! Replacing the dialects of a server while it serves.

use crate::options::DialectOptions;
use crate::routes::{RouteError, Routes};
use crate::served_dialect::ServedDialect;
use crate::state::ServerState;
use crate::sync::lock;
use std::sync::Arc;
use tolmach_dialect::Dialect;

/// A handle to replace the dialects of a server while it serves.
///
/// ```no_run
/// use std::sync::Arc;
/// use tolmach_dialect::Dialect;
/// use tolmach_server::{DialectOptions, RouteError, Server};
///
/// fn reload(server: &Server, dialect: Arc<dyn Dialect>) -> Result<(), RouteError> {
///     server.reloader().replace(vec![(dialect, DialectOptions::default())])
/// }
/// ```
#[derive(Clone)]
pub struct DialectReloader(Arc<ServerState>);

impl DialectReloader {
    pub(crate) fn new(state: Arc<ServerState>) -> Self {
        Self(state)
    }

    /// Gives new connections these dialects, and no others. Open connections keep the dialect that
    /// they have. A value that is served already goes on as it is, with the options that it has.
    ///
    /// Fails, and changes nothing, if the dialects cannot be served together, or if a raw TCP
    /// listener would have none.
    pub fn replace(
        &self,
        dialects: Vec<(Arc<dyn Dialect>, DialectOptions)>,
    ) -> Result<(), RouteError> {
        let state = &self.0;
        let current = state.routes();
        let served = |(dialect, options): (Arc<dyn Dialect>, DialectOptions)| {
            let mut existing = current.dialects().iter();
            match existing.find(|served| Arc::ptr_eq(&served.dialect, &dialect)) {
                Some(served) => Ok(served.clone()),
                None => {
                    let external_ids = |namespace| state.engine.external_ids(namespace);
                    let (limits, memory) = (&state.limits, state.memory.clone());
                    ServedDialect::new(dialect, &options, limits, memory, external_ids)
                        .map(Arc::new)
                }
            }
        };
        let dialects = dialects.into_iter().map(served).collect::<Result<_, _>>()?;
        let routes = Routes::new(dialects, &state.shared_paths, &state.tcp_options)?;
        *lock(&state.routes) = Arc::new(routes);
        Ok(())
    }
}

impl std::fmt::Debug for DialectReloader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("DialectReloader").field(&self.0.routes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Limits;
    use crate::test_support::TestServer;
    use crate::toy::{Toy, toy};
    use tolmach_dialect::{Endpoint, Manifest};

    const OTHER: Manifest = Manifest::new("other", "").endpoints(&[Endpoint::websocket("/toy")]);

    #[tokio::test]
    async fn a_value_that_is_served_goes_on_and_another_one_of_its_id_takes_its_place() {
        let server = TestServer::new(toy(), Limits::default()).await;
        let reloader = DialectReloader::new(server.state.clone());
        let before = server.dialect();
        reloader.replace(vec![(before.dialect.clone(), DialectOptions::default())]).unwrap();
        assert!(Arc::ptr_eq(&before, &server.dialect()));
        let new: Arc<dyn Dialect> = Arc::new(Toy::new(toy()));
        reloader.replace(vec![(new.clone(), DialectOptions::default())]).unwrap();
        let after = server.dialect();
        assert!(Arc::ptr_eq(&new, &after.dialect));
        assert_ne!(before.number, after.number, "its frames are rendered by themselves");
    }

    #[tokio::test]
    async fn dialects_that_cannot_be_served_together_change_nothing() {
        let server = TestServer::new(toy(), Limits::default()).await;
        let before = server.dialect();
        let reloader = DialectReloader::new(server.state.clone());
        let dialects = [toy(), OTHER].map(|manifest| {
            let dialect: Arc<dyn Dialect> = Arc::new(Toy::new(manifest));
            (dialect, DialectOptions::default())
        });
        let expected = RouteError::DuplicatePath { path: "/toy", first: "toy", second: "other" };
        assert_eq!(reloader.replace(dialects.into()), Err(expected));
        assert!(Arc::ptr_eq(&before, &server.dialect()));
    }
}
