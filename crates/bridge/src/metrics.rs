//! Metrics, recorded through the `metrics` facade.

use metrics::{counter, describe_counter};
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

pub(crate) fn request(operation: &'static str, outcome: &'static str) {
    counter!(
        "tolmach_bridge_requests_total", "operation" => operation, "outcome" => outcome
    )
    .increment(1);
}

pub(crate) fn renewed(granted: bool) {
    let outcome = if granted { "ok" } else { "refused" };
    counter!("tolmach_bridge_renewals_total", "outcome" => outcome).increment(1);
}
