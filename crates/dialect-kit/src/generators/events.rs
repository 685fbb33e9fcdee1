//! Events.

use crate::generators::values::{
    flow, flow_id, message, message_id, timestamp, user_id, user_summary, version,
};
use proptest::collection::vec;
use proptest::prelude::*;
use tolmach_domain::{Event, EventKind, Message, Version};

/// The kind of an event.
pub fn event_kind() -> BoxedStrategy<EventKind> {
    prop_oneof![
        message().prop_map(EventKind::Posted),
        (message(), timestamp()).prop_map(|(message, at)| EventKind::Edited(Message {
            edited_at: Some(at),
            ..message
        })),
        (flow_id(), user_id(), vec(message_id(), 1..4)).prop_map(|(flow, by, ids)| {
            EventKind::Deleted {
                flow,
                by,
                messages: ids.into_iter().zip((1..).map(Version)).collect(),
            }
        }),
        (flow(), vec(user_summary(), 2..4))
            .prop_map(|(flow, members)| EventKind::FlowCreated { flow, members }),
        (flow_id(), user_id()).prop_map(|(flow, by)| EventKind::FlowDeleted { flow, by }),
        (flow_id(), vec(user_summary(), 1..3), version())
            .prop_map(|(flow, users, version)| EventKind::MembersAdded { flow, users, version }),
        (flow_id(), vec(user_id(), 1..3))
            .prop_map(|(flow, users)| EventKind::MembersRemoved { flow, users }),
        (flow_id(), user_summary(), any::<bool>())
            .prop_map(|(flow, user, active)| EventKind::Typing { flow, user, active }),
        user_id().prop_map(|user| EventKind::SessionsEnded { user, session: None }),
    ]
    .boxed()
}

/// An event without an origin.
pub fn event() -> impl Strategy<Value = Event> {
    (timestamp(), event_kind()).prop_map(|(at, kind)| Event::new(at, kind))
}
