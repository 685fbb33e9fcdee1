//! Metrics of the bus between gateways.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tolmach_bus::RedisBus;
use tolmach_engine::ports::Bus;

/// The interval at which the bus's own counters are read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Describes the metrics of the bus, and records them until the bus is dropped.
pub(crate) fn record(bus: &Arc<RedisBus>) {
    describe();
    tokio::spawn(record_until_dropped(Arc::downgrade(bus)));
}

fn describe() {
    describe_gauge!(
        "tolmach_bus_connected",
        "1 while connected to Redis, else 0; absent where there is one gateway"
    );
    describe_counter!("tolmach_bus_events_total", "Events between gateways, by direction");
    describe_counter!(
        "tolmach_bus_lost_events_total",
        "Events between gateways that have to be read from the database, by reason (out_full: \
         Redis was away or slow; in_full: this gateway was slow; undecodable)"
    );
    describe_counter!("tolmach_bus_connections_total", "Connections made to Redis");
}

async fn record_until_dropped(bus: Weak<RedisBus>) {
    while let Some(bus) = bus.upgrade() {
        let stats = bus.stats();
        gauge!("tolmach_bus_connected").set(if bus.last_error().is_none() { 1.0 } else { 0.0 });
        for (direction, events) in [("out", stats.published), ("in", stats.received)] {
            counter!("tolmach_bus_events_total", "direction" => direction).absolute(events);
        }
        for (reason, events) in [
            ("out_full", stats.dropped),
            ("in_full", stats.overflowed),
            ("undecodable", stats.undecodable),
        ] {
            counter!("tolmach_bus_lost_events_total", "reason" => reason).absolute(events);
        }
        counter!("tolmach_bus_connections_total").absolute(stats.connections);
        drop(bus);
        tokio::time::sleep(INTERVAL).await;
    }
}
