//! Events that are the responses of the requests which cause them.

use tolmach_domain::{Answer, Command, EventKind, UserId, Version};

/// True for an event that [`event_of`] makes of an answer.
pub(crate) fn is_in_answer(event: &str) -> bool {
    matches!(event, "posted" | "edited" | "deleted" | "flow_deleted")
}

/// The change that a granted command of this user has made. `None` where the answer does not say
/// enough of it.
pub(crate) fn event_of(
    command: &Command,
    answer: &Answer,
    by: Option<UserId>,
) -> Option<EventKind> {
    Some(match (command, answer) {
        (_, Answer::Sent { message: Some(message), .. }) => {
            EventKind::Posted(message.as_ref().clone())
        }
        (_, Answer::Edited(message)) => EventKind::Edited(message.as_ref().clone()),
        (Command::Delete { flow: Some(flow), .. }, Answer::Deleted { deleted, .. }) => {
            // The version is written on no wire.
            let messages = deleted.iter().map(|id| (*id, Version::default())).collect();
            EventKind::Deleted { flow: *flow, by: by?, messages }
        }
        (_, Answer::FlowDeleted { flow }) => EventKind::FlowDeleted { flow: *flow, by: by? },
        _ => return None,
    })
}
