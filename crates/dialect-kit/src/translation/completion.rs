//! Values that a proxy adds to those that come through the two wires: its own tokens, and versions,
//! which no wire carries and a proxy counts.

use crate::play::fit_grant;
use crate::stories::Exchange;
use tolmach_dialect::Incoming;
use tolmach_domain::{Answer, Command, EventKind, Fault, Message};

/// The outcome that the target gave, as the proxy passes it on.
pub(crate) fn complete_outcome(
    exchange: &Exchange,
    decoded: &Command,
    mut outcome: Result<Answer, Fault>,
) -> Result<Answer, Fault> {
    if let Ok(answer) = &mut outcome {
        fit_grant(exchange.persona, decoded, answer);
        if let Ok(counted) = &exchange.outcome {
            count_answer(answer, counted);
        }
    }
    outcome
}

/// Requests the kind of tokens that the target hands out: the proxy keeps them.
pub(crate) fn request_tokens(onward: &mut Command, native: &Command) {
    match (onward, native) {
        (Command::Register(onward), Command::Register(native)) => onward.grant = native.grant,
        (Command::Login { grant: onward, .. }, Command::Login { grant: native, .. }) => {
            *onward = *native;
        }
        _ => {}
    }
}

/// The answer to a command on a wire that does not answer a grant.
pub(crate) fn implied_answer(command: &Command, incoming: &[Incoming]) -> Option<Answer> {
    let event = incoming.iter().find_map(|incoming| match incoming {
        Incoming::Event(event) => Some(&event.kind),
        Incoming::Response(_) => None,
    });
    match (command, event) {
        (Command::Send(_), Some(EventKind::Posted(message))) => {
            Some(Answer::Sent { message: Some(Box::new(message.clone())), repeated: false })
        }
        (Command::Send(_), _) => Some(Answer::Sent { message: None, repeated: false }),
        (Command::Edit { .. }, Some(EventKind::Edited(message))) => {
            Some(Answer::Edited(Box::new(message.clone())))
        }
        (Command::Delete { messages, .. }, _) => {
            Some(Answer::Deleted { deleted: messages.clone(), left: Vec::new() })
        }
        (Command::ShowTyping { .. }, _) => Some(Answer::TypingShown),
        (Command::DeleteFlow { flow, .. }, _) => Some(Answer::FlowDeleted { flow: *flow }),
        (Command::Logout { .. }, _) => Some(Answer::LoggedOut),
        _ => None,
    }
}

/// True if an engine may answer the decoded command like this: a wire may narrow down which kinds
/// of flow are meant.
pub(crate) fn may_answer(decoded: &Command, answer: &Answer) -> bool {
    match (decoded, answer) {
        (Command::GetFlow { kinds, .. }, Answer::Flow(summary)) => kinds.include(summary.flow.kind),
        (Command::History { kinds, .. }, Answer::History(page)) => {
            page.messages.iter().all(|message| kinds.include(message.flow_kind))
        }
        (Command::Send(new), Answer::Sent { message: Some(message), .. }) => {
            new.kinds.include(message.flow_kind)
        }
        _ => true,
    }
}

fn count_message(message: &mut Message, counted: &Message) {
    (message.posted, message.version) = (counted.posted, counted.version);
}

fn count_answer(answer: &mut Answer, counted: &Answer) {
    match (answer, counted) {
        (Answer::History(page), Answer::History(counted)) => {
            page.version = counted.version;
            for message in &mut page.messages {
                if let Some(counted) =
                    counted.messages.iter().find(|counted| counted.id == message.id)
                {
                    count_message(message, counted);
                }
            }
        }
        (
            Answer::Sent { message: Some(message), .. },
            Answer::Sent { message: Some(counted), .. },
        ) => count_message(message, counted),
        (Answer::Edited(message), Answer::Edited(counted)) => count_message(message, counted),
        _ => {}
    }
}

pub(crate) fn count_event(kind: &mut EventKind, counted: &EventKind) {
    match (kind, counted) {
        (EventKind::Posted(message), EventKind::Posted(counted))
        | (EventKind::Edited(message), EventKind::Edited(counted)) => {
            count_message(message, counted);
        }
        (EventKind::Deleted { messages, .. }, EventKind::Deleted { messages: counted, .. }) => {
            for ((_, version), (_, counted)) in messages.iter_mut().zip(counted) {
                *version = *counted;
            }
        }
        _ => {}
    }
}
