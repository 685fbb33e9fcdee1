//! Metrics, recorded through the `metrics` facade.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use std::sync::Arc;
use tolmach_client::Cause;

/// Describes the metrics of a bridge.
pub(crate) fn describe() {
    describe_counter!("tolmach_bridge_connects_total", "WebSockets opened to the upstream");
    describe_counter!(
        "tolmach_bridge_failures_total",
        "Failures of the upstream, by kind (unreachable, lost, timeout, not_understood)"
    );
    describe_counter!(
        "tolmach_bridge_requests_total",
        "Requests passed to the upstream, by operation and outcome (ok, the fault, unsupported, \
         unreachable, lost)"
    );
    describe_counter!(
        "tolmach_mirror_requests_total",
        "Requests whose copies were given to an upstream, by upstream, operation and outcome \
         (same, different, unsupported, unavailable, skipped, dropped)"
    );
    describe_gauge!(
        "tolmach_mirror_waiting_bytes",
        "Memory of the copies of requests that wait for an upstream, by upstream"
    );
    describe_counter!(
        "tolmach_bridge_renewals_total",
        "Logins renewed at the upstream, by outcome"
    );
}

pub(crate) fn connected() {
    counter!("tolmach_bridge_connects_total").increment(1);
}

/// The upstream could not be reached, or did not answer a request.
pub(crate) fn failed(cause: &Cause) {
    tracing::warn!(%cause, "the upstream cannot be reached");
    failure("unreachable");
}

pub(crate) fn lost() {
    failure("lost");
}

pub(crate) fn timed_out() {
    tracing::warn!("the upstream did not answer in time");
    failure("timeout");
}

pub(crate) fn not_understood() {
    failure("not_understood");
}

fn failure(kind: &'static str) {
    counter!("tolmach_bridge_failures_total", "kind" => kind).increment(1);
}

/// The counters of a link's requests. Each is looked up once.
#[derive(Default)]
pub(crate) struct RequestCounter(Vec<((&'static str, &'static str), Counter)>);

impl RequestCounter {
    pub(crate) fn count(&mut self, operation: &'static str, outcome: &'static str) {
        // Few kinds of requests come over one link.
        let key = (operation, outcome);
        if let Some((_, counter)) = self.0.iter().find(|(of, _)| *of == key) {
            return counter.increment(1);
        }
        let counter = counter!(
            "tolmach_bridge_requests_total", "operation" => operation, "outcome" => outcome
        );
        counter.increment(1);
        self.0.push((key, counter));
    }
}

pub(crate) fn renewed(granted: bool) {
    let outcome = if granted { "ok" } else { "refused" };
    counter!("tolmach_bridge_renewals_total", "outcome" => outcome).increment(1);
}

/// Counts a mirrored request by its outcome.
pub(crate) fn mirrored(upstream: &Arc<str>, operation: &'static str, outcome: &'static str) {
    counter!(
        "tolmach_mirror_requests_total",
        "upstream" => upstream.to_string(), "operation" => operation, "outcome" => outcome
    )
    .increment(1);
}

/// The memory of what waits for a mirror.
pub(crate) fn mirror_waiting(upstream: &Arc<str>) -> Gauge {
    gauge!("tolmach_mirror_waiting_bytes", "upstream" => upstream.to_string())
}
