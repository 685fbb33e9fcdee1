//! Metrics, recorded through the `metrics` facade and rendered for Prometheus.

use crate::sync::lock;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tolmach_dialect::{Manifest, Revision};
use tolmach_engine::ports::LedgerRevision;

const LATENCY_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The metrics of this process. A server that is given them serves them at `/metrics`.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// The metrics could not be installed: another recorder was installed before.
#[derive(Debug, thiserror::Error)]
#[error("the metrics recorder cannot be installed")]
pub struct MetricsError(#[source] BuildError);

impl Metrics {
    /// Installs the recorder of this process. Succeeds once per process, and must precede
    /// [`ServerBuilder::bind`](crate::ServerBuilder::bind).
    pub fn install() -> Result<Self, MetricsError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_SECONDS)
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(MetricsError)?;
        describe();
        Ok(Self(handle))
    }

    /// Every metric, in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Drops what histograms no longer need. To be called at intervals.
    pub(crate) fn run_upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

fn describe() {
    describe_gauge!("tolmach_connections", "Open WebSocket connections, by dialect and revision");
    describe_counter!("tolmach_connections_total", "WebSocket connections opened, by dialect");
    describe_counter!(
        "tolmach_connections_closed_total",
        "WebSocket connections that the server closed, by dialect and reason"
    );
    describe_counter!(
        "tolmach_connections_refused_total",
        "Connections and WebSockets that got no place, by reason (full, address_full)"
    );
    describe_counter!(
        "tolmach_connections_evicted_total",
        "Connections that ended for a newcomer because their peers had proven no identity"
    );
    describe_counter!("tolmach_frames_total", "Frames, by dialect and direction");
    describe_counter!("tolmach_bytes_total", "Bytes of frames, by dialect and direction");
    describe_counter!(
        "tolmach_event_renders_total",
        "Events rendered to be shared by many connections, by dialect"
    );
    describe_counter!(
        "tolmach_events_reduced_total",
        "Events rendered without their files because the frame would exceed 1 MiB, by dialect"
    );
    describe_counter!(
        "tolmach_requests_total",
        "Requests carried out, by dialect, revision, operation and outcome (ok or the fault)"
    );
    describe_histogram!(
        "tolmach_request_duration_seconds",
        "Duration of requests, by dialect and operation"
    );
    describe_counter!(
        "tolmach_violations_total",
        "Frames that were not the dialect's, by dialect and kind"
    );
    describe_counter!(
        "tolmach_handshakes_rejected_total",
        "Connections rejected at their handshake, by dialect"
    );
    describe_counter!(
        "tolmach_unrecognised_total",
        "First frames on a shared path that no dialect claimed"
    );
    describe_counter!(
        "tolmach_delayed_responses_total",
        "Responses to writers that waited because the delivery of their flow lagged"
    );
    describe_gauge!(
        "tolmach_held_bytes",
        "Bytes that peers make the process hold, beyond the first 4 KiB of each connection"
    );
    describe_counter!(
        "tolmach_over_budget_total",
        "Connections evicted and reservations refused because too many bytes were held, by the \
         bound (connection, address, total)"
    );
    describe_counter!(
        "tolmach_bodies_rejected_total",
        "Bodies of HTTP requests that were not read to their end, by reason (too_large, too_slow, \
         broken, over_budget)"
    );
    describe_counter!(
        "tolmach_paused_reads_total",
        "Pauses in reading from a peer that sent too fast, by reason (frames, user_bytes, \
         address_bytes, address_frames)"
    );
    describe_counter!(
        "tolmach_lifecycle_requests_total",
        "Requests of clients whose version is deprecated, in a brownout or refused by a serving \
         rule, by dialect, revision and state"
    );
    describe_gauge!(
        "tolmach_serving_rules_revision",
        "The number of changes of the serving rules that this node follows"
    );
    describe_counter!(
        "tolmach_serving_rules_reads_total",
        "Reads of the store for changes of the serving rules, by outcome (ok, failed)"
    );
    describe_counter!(
        "tolmach_route_logins_total",
        "Logins and registrations by the server that routes chose for them (here, or the name of \
         an upstream)"
    );
    describe_counter!(
        "tolmach_route_moves_total",
        "WebSockets that ended because another server serves their user now, by that server"
    );
    describe_gauge!(
        "tolmach_ledger_clients",
        "Clients that sent a request within seven days, over all nodes, by dialect and revision"
    );
    describe_counter!(
        "tolmach_ledger_writes_total",
        "Batches of the ledger that were written to the store, by outcome (ok, failed)"
    );
    describe_counter!(
        "tolmach_ledger_folded_requests_total",
        "Requests whose clients the ledger could not tell apart for lack of memory"
    );
    describe_counter!("tolmach_events_total", "Events received by this node, by kind");
    describe_counter!(
        "tolmach_recovered_events_total",
        "Events that were read from the store because the bus did not bring them, by kind"
    );
    describe_counter!(
        "tolmach_event_reconciliations_total",
        "Reads of the store for events of other nodes, by outcome (ok, failed)"
    );
}

/// The metrics of one dialect, whose handles are looked up once.
#[derive(Clone)]
pub(crate) struct DialectMetrics {
    dialect: &'static str,
    pub(crate) connections_total: Counter,
    pub(crate) frames_in: Counter,
    pub(crate) frames_out: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) event_renders: Counter,
    pub(crate) events_reduced: Counter,
    pub(crate) handshakes_rejected: Counter,
    /// The series of requests, by their kind.
    requests: Arc<RwLock<HashMap<RequestKind, RequestSeries>>>,
}

/// A revision, an operation and an outcome.
type RequestKind = (Revision, &'static str, &'static str);

/// The series of the last request of one requester, which the next one mostly has too.
#[derive(Default)]
pub(crate) struct LastSeries(Mutex<Option<(&'static str, &'static str, RequestSeries)>>);

/// The series that one kind of request counts in.
#[derive(Clone)]
struct RequestSeries {
    count: Counter,
    duration: Histogram,
}

impl DialectMetrics {
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let dialect = manifest.id;
        // Each revision has a series from the start.
        for revision in manifest.revisions {
            drop(open_connections(dialect, revision));
        }
        let traffic =
            |name, direction| counter!(name, "dialect" => dialect, "direction" => direction);
        let frames = |direction| traffic("tolmach_frames_total", direction);
        let bytes = |direction| traffic("tolmach_bytes_total", direction);
        Self {
            dialect,
            connections_total: counter!("tolmach_connections_total", "dialect" => dialect),
            frames_in: frames("in"),
            frames_out: frames("out"),
            bytes_in: bytes("in"),
            bytes_out: bytes("out"),
            event_renders: counter!("tolmach_event_renders_total", "dialect" => dialect),
            events_reduced: counter!("tolmach_events_reduced_total", "dialect" => dialect),
            handshakes_rejected: counter!(
                "tolmach_handshakes_rejected_total",
                "dialect" => dialect
            ),
            requests: Arc::default(),
        }
    }

    /// The open connections of a revision.
    pub(crate) fn connections(&self, revision: Revision) -> Gauge {
        open_connections(self.dialect, revision)
    }

    /// Counts a request of one requester, whose requests have one revision.
    pub(crate) fn request(
        &self,
        last: &LastSeries,
        revision: Revision,
        operation: &'static str,
        outcome: &'static str,
        duration: Duration,
    ) {
        // Only the tasks of one connection take it.
        let mut last = lock(&last.0);
        match &*last {
            Some((of, with, series)) if *of == operation && *with == outcome => {
                series.record(duration);
            }
            _ => {
                let series = self.series((revision, operation, outcome));
                series.record(duration);
                *last = Some((operation, outcome, series));
            }
        }
    }

    fn series(&self, key: RequestKind) -> RequestSeries {
        if let Some(series) = self.requests.read().unwrap_or_else(PoisonError::into_inner).get(&key)
        {
            return series.clone();
        }
        let mut requests = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        requests.entry(key).or_insert_with(|| self.new_series(key)).clone()
    }

    fn new_series(&self, (revision, operation, outcome): RequestKind) -> RequestSeries {
        RequestSeries {
            count: counter!(
                "tolmach_requests_total",
                "dialect" => self.dialect,
                "revision" => revision,
                "operation" => operation,
                "outcome" => outcome
            ),
            duration: histogram!(
                "tolmach_request_duration_seconds",
                "dialect" => self.dialect, "operation" => operation
            ),
        }
    }

    pub(crate) fn violation(&self, kind: &'static str) {
        counter!("tolmach_violations_total", "dialect" => self.dialect, "kind" => kind)
            .increment(1);
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        counter!(
            "tolmach_connections_closed_total",
            "dialect" => self.dialect, "reason" => reason
        )
        .increment(1);
    }
}

impl RequestSeries {
    fn record(&self, duration: Duration) {
        self.count.increment(1);
        self.duration.record(duration);
    }
}

fn open_connections(dialect: &'static str, revision: Revision) -> Gauge {
    gauge!("tolmach_connections", "dialect" => dialect, "revision" => revision)
}

/// Counts a connection or a WebSocket that got no place.
pub(crate) fn connection_refused(reason: &'static str) {
    counter!("tolmach_connections_refused_total", "reason" => reason).increment(1);
}

/// Counts a connection that ends for a newcomer.
pub(crate) fn connection_evicted() {
    counter!("tolmach_connections_evicted_total").increment(1);
}

/// Counts an event that the bus brought.
pub(crate) fn event_received(kind: &'static str) {
    counter!("tolmach_events_total", "kind" => kind).increment(1);
}

/// Counts an event that was read from the store because the bus did not bring it.
pub(crate) fn event_recovered(kind: &'static str) {
    counter!("tolmach_recovered_events_total", "kind" => kind).increment(1);
}

/// Counts a read of the store for events of other nodes.
pub(crate) fn reconciled(succeeded: bool) {
    let outcome = if succeeded { "ok" } else { "failed" };
    counter!("tolmach_event_reconciliations_total", "outcome" => outcome).increment(1);
}

/// Counts a request of a client whose version is not simply permitted.
pub(crate) fn lifecycle_request(dialect: &'static str, revision: Revision, state: &'static str) {
    counter!(
        "tolmach_lifecycle_requests_total",
        "dialect" => dialect, "revision" => revision, "state" => state
    )
    .increment(1);
}

/// Records the revision of the serving rules that this node follows.
pub(crate) fn rules_revision(revision: i64) {
    gauge!("tolmach_serving_rules_revision").set(revision as f64);
}

/// Counts a login by its server.
pub(crate) fn route_login(server: &str) {
    counter!("tolmach_route_logins_total", "server" => server.to_owned()).increment(1);
}

/// Counts a connection that ends because another server serves its user.
pub(crate) fn route_move(server: &str) {
    counter!("tolmach_route_moves_total", "server" => server.to_owned()).increment(1);
}

/// Counts a read of the store for changes of the serving rules.
pub(crate) fn rules_read(succeeded: bool) {
    let outcome = if succeeded { "ok" } else { "failed" };
    counter!("tolmach_serving_rules_reads_total", "outcome" => outcome).increment(1);
}

/// Records the number of clients of a revision in the ledger.
pub(crate) fn ledger_clients(revision: LedgerRevision, clients: u64) {
    let LedgerRevision { dialect, revision } = revision;
    gauge!("tolmach_ledger_clients", "dialect" => dialect, "revision" => revision)
        .set(clients as f64);
}

/// Counts a write of the ledger.
pub(crate) fn ledger_written(succeeded: bool) {
    let outcome = if succeeded { "ok" } else { "failed" };
    counter!("tolmach_ledger_writes_total", "outcome" => outcome).increment(1);
}

/// Counts a request whose client the ledger could not tell apart.
pub(crate) fn ledger_folded() {
    counter!("tolmach_ledger_folded_requests_total").increment(1);
}

/// Counts a connection on a shared path that the server closed before its dialect was known.
pub(crate) fn closed_before_dialect(reason: &'static str) {
    counter!("tolmach_connections_closed_total", "dialect" => "none", "reason" => reason)
        .increment(1);
}

/// Counts a first frame that no dialect claimed.
pub(crate) fn unrecognised() {
    counter!("tolmach_unrecognised_total").increment(1);
}

/// Counts a response to a writer that waits because the delivery of its flow lags.
pub(crate) fn response_delayed() {
    counter!("tolmach_delayed_responses_total").increment(1);
}

/// The bytes that peers make the process hold.
pub(crate) fn held_bytes() -> Gauge {
    gauge!("tolmach_held_bytes")
}

/// Counts a connection that was evicted, or a reservation that was refused, by the bound.
pub(crate) fn over_budget(bound: &'static str) {
    counter!("tolmach_over_budget_total", "bound" => bound).increment(1);
}

/// Counts the body of an HTTP request that was not read to its end.
pub(crate) fn body_rejected(reason: &'static str) {
    counter!("tolmach_bodies_rejected_total", "reason" => reason).increment(1);
}

/// Counts a pause in reading from a peer.
pub(crate) fn reading_paused(reason: &'static str) {
    counter!("tolmach_paused_reads_total", "reason" => reason).increment(1);
}
