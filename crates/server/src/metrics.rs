//! What `/metrics` shows.

use metrics::{
    Counter, Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::Weak;
use std::time::Duration;
use tolmach_bus::RedisBus;
use tolmach_engine::ports::Bus;

/// How old what is shown of the bus may be.
const BUS_INTERVAL: Duration = Duration::from_secs(1);

const LATENCY_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Makes this process record metrics; the handle renders them. Once a process.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_SECONDS)?
        .install_recorder()?;
    describe_gauge!("tolmach_connections", "Open WebSocket connections, by dialect");
    describe_counter!("tolmach_connections_total", "WebSocket connections opened, by dialect");
    describe_counter!(
        "tolmach_closes_total",
        "WebSocket connections that the gateway closed, by dialect and reason"
    );
    describe_counter!("tolmach_frames_total", "Frames, by dialect and direction");
    describe_counter!("tolmach_bytes_total", "Bytes of frames, by dialect and direction");
    describe_counter!("tolmach_renders_total", "Events rendered to be shared, by dialect");
    describe_counter!(
        "tolmach_asks_total",
        "Requests carried out, by dialect, operation and outcome (ok or the fault)"
    );
    describe_histogram!("tolmach_ask_seconds", "How long requests took, by dialect and operation");
    describe_counter!(
        "tolmach_violations_total",
        "Frames that were not the dialect's, by dialect and kind"
    );
    describe_counter!("tolmach_refusals_total", "Connections refused at their opening, by dialect");
    describe_counter!(
        "tolmach_unrecognised_total",
        "First frames on a shared door that no dialect claimed"
    );
    describe_counter!("tolmach_events_total", "Events delivered to this node, by kind");
    describe_counter!(
        "tolmach_repaired_events_total",
        "Events that the bus did not bring and the store did, by kind"
    );
    describe_counter!(
        "tolmach_checks_total",
        "Looks at the store for what other nodes did, by outcome (ok, failed)"
    );
    describe_gauge!(
        "tolmach_bus_connected",
        "Whether other nodes can be heard (1) or not (0); absent where there is one node"
    );
    describe_counter!("tolmach_bus_events_total", "Events between nodes, by direction (out, in)");
    describe_counter!(
        "tolmach_bus_lost_events_total",
        "Events between nodes that only the store has, by reason (out_full: Redis was away or slow; in_full: this node was; unreadable)"
    );
    describe_counter!("tolmach_bus_connections_total", "How often the bus was connected to");
    Ok(handle)
}

/// Shows what a bus does, for as long as there is one.
pub(crate) fn keep_bus(bus: Weak<RedisBus>) {
    tokio::spawn(async move {
        while let Some(bus) = bus.upgrade() {
            let stats = bus.stats();
            gauge!("tolmach_bus_connected").set(if bus.last_error().is_none() { 1.0 } else { 0.0 });
            for (direction, events) in [("out", stats.published), ("in", stats.received)] {
                counter!("tolmach_bus_events_total", "direction" => direction).absolute(events);
            }
            for (reason, events) in [
                ("out_full", stats.dropped),
                ("in_full", stats.overflowed),
                ("unreadable", stats.unreadable),
            ] {
                counter!("tolmach_bus_lost_events_total", "reason" => reason).absolute(events);
            }
            counter!("tolmach_bus_connections_total").absolute(stats.connections);
            drop(bus);
            tokio::time::sleep(BUS_INTERVAL).await;
        }
    });
}

/// The metrics of one dialect, looked up once.
pub(crate) struct DialectMetrics {
    dialect: &'static str,
    pub(crate) connections: Gauge,
    pub(crate) connections_total: Counter,
    pub(crate) frames_in: Counter,
    pub(crate) frames_out: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) renders: Counter,
    pub(crate) refusals: Counter,
}

impl DialectMetrics {
    pub(crate) fn new(dialect: &'static str) -> Self {
        Self {
            dialect,
            connections: gauge!("tolmach_connections", "dialect" => dialect),
            connections_total: counter!("tolmach_connections_total", "dialect" => dialect),
            frames_in: counter!("tolmach_frames_total", "dialect" => dialect, "direction" => "in"),
            frames_out: counter!("tolmach_frames_total", "dialect" => dialect, "direction" => "out"),
            bytes_in: counter!("tolmach_bytes_total", "dialect" => dialect, "direction" => "in"),
            bytes_out: counter!("tolmach_bytes_total", "dialect" => dialect, "direction" => "out"),
            renders: counter!("tolmach_renders_total", "dialect" => dialect),
            refusals: counter!("tolmach_refusals_total", "dialect" => dialect),
        }
    }

    pub(crate) fn asked(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        counter!("tolmach_asks_total", "dialect" => self.dialect, "operation" => operation, "outcome" => outcome).increment(1);
        histogram!("tolmach_ask_seconds", "dialect" => self.dialect, "operation" => operation)
            .record(took);
    }

    pub(crate) fn violated(&self, kind: &'static str) {
        counter!("tolmach_violations_total", "dialect" => self.dialect, "kind" => kind)
            .increment(1);
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        counter!("tolmach_closes_total", "dialect" => self.dialect, "reason" => reason)
            .increment(1);
    }
}

pub(crate) fn event(kind: &'static str) {
    counter!("tolmach_events_total", "kind" => kind).increment(1);
}

/// An event that the bus did not bring and the store did.
pub(crate) fn repaired(kind: &'static str) {
    counter!("tolmach_repaired_events_total", "kind" => kind).increment(1);
}

pub(crate) fn checked(succeeded: bool) {
    counter!("tolmach_checks_total", "outcome" => if succeeded { "ok" } else { "failed" })
        .increment(1);
}

pub(crate) fn unrecognised() {
    counter!("tolmach_unrecognised_total").increment(1);
}
