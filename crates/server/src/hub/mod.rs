//! The way of an event: from the bus to the send queues of the connections that subscribed to it.

mod coalescing;
mod delivery;
mod event_tracker;
mod fan_out;
mod flow_subscribers;
#[expect(clippy::module_inception, reason = "the hub itself; the other files are its parts")]
mod hub;
mod reconciler;
mod sharded;
mod subscriber;
mod summary_cache;

pub(crate) use hub::{FlowAsRead, FlowReadStart, Hub};
pub(crate) use reconciler::Reconciler;
pub(crate) use subscriber::Subscriber;
