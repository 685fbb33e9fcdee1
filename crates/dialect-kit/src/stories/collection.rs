//! The list of stories.

use crate::stories::account::account;
use crate::stories::administrator::administrator;
use crate::stories::chat::chat;
use crate::stories::every_fault::every_fault;
use crate::stories::group::group;
use crate::stories::story::Story;

/// All stories.
pub fn stories() -> Vec<Story> {
    vec![account(), chat(), group(), administrator(), every_fault()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stories::story::Step;
    use std::collections::BTreeSet;
    use tolmach_domain::{Answer, Command, EventKind, Fault};

    /// One more than the greatest number that the exhaustive matches below give.
    const COMMANDS: usize = 27;
    const FAULTS: usize = 21;
    const EVENTS: usize = 9;

    fn command_number(command: &Command) -> usize {
        match command {
            Command::Register(_) => 0,
            Command::Login { .. } => 1,
            Command::Refresh { .. } => 2,
            Command::Logout { .. } => 3,
            Command::Recover { .. } => 4,
            Command::ResetPassword { .. } => 5,
            Command::DeleteAccount { .. } => 6,
            Command::CreateProfile(_) => 7,
            Command::GetUser { .. } => 8,
            Command::SearchUsers { .. } => 9,
            Command::GetPhoto { .. } => 10,
            Command::OpenChat { .. } => 11,
            Command::CreateFlow(_) => 12,
            Command::DeleteFlow { .. } => 13,
            Command::GetFlow { .. } => 14,
            Command::AddMembers { .. } => 15,
            Command::RemoveMembers { .. } => 16,
            Command::ListFlows { .. } => 17,
            Command::Send(_) => 18,
            Command::Edit { .. } => 19,
            Command::Delete { .. } => 20,
            Command::History { .. } => 21,
            Command::GetChanges { .. } => 22,
            Command::ShowTyping { .. } => 23,
            Command::Block { .. } => 24,
            Command::Unblock { .. } => 25,
            Command::ListBlocked => 26,
        }
    }

    fn fault_number(fault: &Fault) -> usize {
        match fault {
            Fault::Unauthenticated => 0,
            Fault::WrongCredentials { .. } => 1,
            Fault::LoginTaken => 2,
            Fault::NoProfile => 3,
            Fault::ProfileExists => 4,
            Fault::NoSuchUser => 5,
            Fault::NoSuchFlow => 6,
            Fault::NoSuchMessage => 7,
            Fault::NoPhoto => 8,
            Fault::WrongKind => 9,
            Fault::NotOwner => 10,
            Fault::NotAuthor => 11,
            Fault::NotAdministrator => 12,
            Fault::NoBusiness => 13,
            Fault::AlreadyMember => 14,
            Fault::NotMember => 15,
            Fault::Invalid { .. } => 16,
            Fault::TooMany { .. } => 17,
            Fault::Unavailable => 18,
            Fault::Internal => 19,
            Fault::KeyReused => 20,
        }
    }

    fn event_number(event: &EventKind) -> usize {
        match event {
            EventKind::Posted(_) => 0,
            EventKind::Edited(_) => 1,
            EventKind::Deleted { .. } => 2,
            EventKind::FlowCreated { .. } => 3,
            EventKind::FlowDeleted { .. } => 4,
            EventKind::MembersAdded { .. } => 5,
            EventKind::MembersRemoved { .. } => 6,
            EventKind::Typing { .. } => 7,
            EventKind::SessionsEnded { .. } => 8,
        }
    }

    #[test]
    fn every_command_fault_and_event_is_in_a_story() {
        let (mut commands, mut faults, mut events) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for step in stories().into_iter().flat_map(|story| story.steps) {
            match step {
                Step::Exchange(exchange) => {
                    commands.insert(command_number(&exchange.command));
                    faults.extend(exchange.outcome.as_ref().err().map(fault_number));
                    events.extend(exchange.event.as_ref().map(event_number));
                }
                Step::Event(event) => {
                    events.insert(event_number(&event));
                }
            }
        }
        assert_eq!(commands, (0..COMMANDS).collect());
        assert_eq!(faults, (0..FAULTS).collect());
        assert_eq!(events, (0..EVENTS).collect());
    }

    #[test]
    fn no_two_exchanges_of_a_story_share_a_title_and_a_command_but_differ_in_outcome() {
        for story in stories() {
            let mut seen: Vec<(String, Command, Result<Answer, Fault>)> = Vec::new();
            for step in story.steps {
                let Step::Exchange(exchange) = step else { continue };
                let clash = seen.iter().any(|(title, command, outcome)| {
                    *title == exchange.title()
                        && *command == exchange.command
                        && *outcome != exchange.outcome
                });
                // The two wrong credentials differ in what only one wire may reveal.
                assert!(
                    !clash || exchange.note.contains("wrong_credentials"),
                    "{}: {}",
                    story.name,
                    exchange.title()
                );
                seen.push((exchange.title(), exchange.command, exchange.outcome));
            }
        }
    }
}
