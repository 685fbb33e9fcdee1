//! A server without a listener, for tests.

use crate::builder::ServerBuilder;
use crate::memory_budget::MemoryBudget;
use crate::options::{DialectOptions, Limits, ServerOptions};
use crate::routes::RouteMatch;
use crate::served_dialect::ServedDialect;
use crate::server::Server;
use crate::state::ServerState;
use crate::test_upstream::ToyUpstream;
use crate::toy::{Backend, PASSWORD, Toy};
use crate::upstream::Upstream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tolmach_dialect::Manifest;
use tolmach_domain::{
    Answer, Authority, Command, ExternalId, GrantKind, IdNamespace, MessageId, ObjectId, Secret,
    Tokens,
};
use tolmach_engine::ports::{ExternalIdRow, ExternalIdStore, Rule, RuleEffect, RuleSubject};
use tolmach_engine::{RuleSet, Submission};

pub(crate) use crate::toy::toy;

/// A server without a listener, on ports in memory.
pub(crate) struct TestServer {
    pub(crate) state: Arc<ServerState>,
    pub(crate) backend: Backend,
    calls: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    /// A server of one toy dialect. Responses wait for delivery as long as it takes.
    pub(crate) async fn new(manifest: Manifest, limits: Limits) -> Self {
        Self::with_options(manifest, limits, DialectOptions::default()).await
    }

    /// The same with a namespace of external ids. One of them belongs to a message with a high id,
    /// so that those of all messages are looked up.
    pub(crate) async fn with_external_ids(manifest: Manifest) -> Self {
        let namespace: IdNamespace = "old".parse().unwrap();
        let ids = Some(namespace.clone());
        let options = DialectOptions { ids, ..DialectOptions::default() };
        let server = Self::with_options(manifest, Limits::default(), options).await;
        let object = ObjectId::Message(MessageId::new(1 << 20).unwrap());
        let row = ExternalIdRow { object, external: ExternalId(u128::MAX) };
        server.backend.store.add_external_ids(&namespace, &[row]).await.unwrap();
        server
    }

    /// The same with an upstream in the engine's place.
    pub(crate) async fn with_upstream(
        manifest: Manifest,
        limits: Limits,
        upstream: Arc<dyn Upstream>,
    ) -> Self {
        let options = DialectOptions::default();
        Self::build(manifest, limits, options, |builder| builder.upstream(upstream)).await
    }

    /// The same with upstreams beside the engine, by their names.
    pub(crate) async fn dual(upstreams: &[(&str, &ToyUpstream)]) -> Self {
        let options = DialectOptions::default();
        let named = |builder: ServerBuilder, (name, upstream): &(&str, &ToyUpstream)| {
            builder.named_upstream((*name).to_owned(), Arc::new((*upstream).clone()))
        };
        let configure = |builder| upstreams.iter().fold(builder, named);
        Self::build(crate::toy::toy(), Limits::default(), options, configure).await
    }

    async fn with_options(manifest: Manifest, limits: Limits, options: DialectOptions) -> Self {
        Self::build(manifest, limits, options, |builder| builder).await
    }

    async fn build(
        manifest: Manifest,
        limits: Limits,
        options: DialectOptions,
        configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        let (toy, backend) = (Toy::new(manifest), Backend::new());
        let calls = toy.calls.clone();
        let builder = Server::builder(backend.engine.clone(), backend.bus.clone());
        let state = configure(builder)
            .options(ServerOptions { limits, ..ServerOptions::default() })
            .max_response_delay(Duration::from_secs(3600))
            .dialect_with(Arc::new(toy), options)
            .start(true)
            .await
            .unwrap();
        Self { state, backend, calls }
    }

    pub(crate) fn dialect(&self) -> Arc<ServedDialect> {
        match self.state.routes().find("/toy") {
            RouteMatch::Dialect(dialect, _) => dialect.clone(),
            RouteMatch::Shared | RouteMatch::NotFound => panic!("it is served"),
        }
    }

    /// Puts these serving rules in the place of those before.
    pub(crate) fn set_rules(&self, rules: impl IntoIterator<Item = (RuleSubject, RuleEffect)>) {
        let rules = rules.into_iter().zip(1..);
        let rules = rules.map(|((subject, effect), number)| Rule { number, subject, effect });
        let revision = self.state.rules.current().revision() + 1;
        self.state.rules.replace(RuleSet::new(revision, rules.collect()));
    }

    /// A token of the engine, of a new login.
    pub(crate) async fn token(&self, login: &str) -> Secret {
        let (password, grant) = (Secret::new(PASSWORD), GrantKind::Token);
        let submission = Submission {
            caller: None,
            authority: Authority::Member,
            origin: None,
            address: None,
            command: Command::Login { identifier: login.into(), password, grant },
        };
        match self.backend.engine.execute(submission).await.outcome {
            Ok(Answer::Granted(grant)) => match grant.tokens {
                Tokens::Token(token) => token,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// The calls of all sessions since the last look.
    pub(crate) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

/// A served toy dialect without a server.
pub(crate) fn served(manifest: Manifest) -> Arc<ServedDialect> {
    let (options, limits) = (DialectOptions::default(), Limits::default());
    let memory = MemoryBudget::new(&limits);
    let external_ids = |namespace| Backend::new().engine.external_ids(namespace);
    let toy = Arc::new(Toy::new(manifest));
    let served = ServedDialect::new(toy, &options, &limits, memory, external_ids);
    Arc::new(served.unwrap())
}

/// Lets every other task run until all of them wait. Needs a runtime of one thread, and tasks that
/// do no I/O.
pub(crate) async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}
