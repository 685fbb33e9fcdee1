//! The forms of a command: a wire may have a request for one of them only.

use crate::directory::Directory;
use std::{array, vec};
use tolmach_domain::{
    Command, FlowId, FlowKindFilter, GrantKind, HistoryRange, NewMessage, UserRef,
};

/// The most messages of a page, where a wire reads pages only.
pub(crate) const PAGE: u32 = 100;

/// The forms of a command, the closest first: the command itself, then those that ask for the same
/// or for more, of which the answer is reduced to what was asked ([`crate::completion`]).
pub(crate) enum Forms<'a> {
    /// Those of a message to send, made one by one: its content may be large.
    Message(&'a NewMessage, array::IntoIter<FlowKindFilter, 2>),
    Listed(vec::IntoIter<Command>),
}

impl<'a> Forms<'a> {
    /// The forms of a command. `is_shared` tells of a flow if it is known to be a group or channel.
    pub(crate) fn new(
        command: &'a Command,
        directory: &Directory,
        is_shared: impl FnMut(FlowId) -> bool,
    ) -> Self {
        match command {
            Command::Send(message) => {
                let kinds = kinds_of(message.flow, message.kinds, is_shared);
                Self::Message(message, kinds.into_iter())
            }
            command => Self::Listed(listed(command, directory, is_shared).into_iter()),
        }
    }
}

impl Iterator for Forms<'_> {
    type Item = Command;

    fn next(&mut self) -> Option<Command> {
        match self {
            Self::Message(message, kinds) => kinds.next().map(|kinds| {
                let NewMessage { flow, content, key, .. } = message;
                let (flow, content, key) = (*flow, content.clone(), key.clone());
                Command::Send(Box::new(NewMessage { flow, kinds, content, key }))
            }),
            Self::Listed(forms) => forms.next(),
        }
    }
}

fn listed(
    command: &Command,
    directory: &Directory,
    is_shared: impl FnMut(FlowId) -> bool,
) -> Vec<Command> {
    match command {
        Command::History { flow, kinds, range, mark_read } => {
            let newest = HistoryRange::Newest { limit: PAGE, offset: 0 };
            let ranges = match *range {
                HistoryRange::Newest { limit, offset } if limit > PAGE => {
                    vec![*range, HistoryRange::Newest { limit: PAGE, offset }, HistoryRange::All]
                }
                HistoryRange::Newest { .. } | HistoryRange::All => {
                    vec![*range, HistoryRange::All, newest]
                }
                HistoryRange::Unread => vec![*range, HistoryRange::All, newest],
            };
            let mut forms = Vec::new();
            for kinds in kinds_of(*flow, *kinds, is_shared) {
                for range in &ranges {
                    for mark_read in [*mark_read, !*mark_read] {
                        let (flow, range) = (*flow, *range);
                        forms.push(Command::History { flow, kinds, range, mark_read });
                    }
                }
            }
            forms
        }
        Command::GetFlow { flow, kinds, members } => kinds_of(*flow, *kinds, is_shared)
            .into_iter()
            .flat_map(|kinds| {
                [*members, !*members].map(|members| Command::GetFlow {
                    flow: *flow,
                    kinds,
                    members,
                })
            })
            .collect(),
        Command::DeleteFlow { flow, kinds } => kinds_of(*flow, *kinds, is_shared)
            .into_iter()
            .map(|kinds| Command::DeleteFlow { flow: *flow, kinds })
            .collect(),
        Command::ListFlows { limit, offset, members } => [*members, !*members]
            .map(|members| Command::ListFlows { limit: *limit, offset: *offset, members })
            .to_vec(),
        Command::OpenChat { with } => {
            with_other_form(with, directory).map(|with| Command::OpenChat { with }).collect()
        }
        Command::GetUser { user } => {
            with_other_form(user, directory).map(|user| Command::GetUser { user }).collect()
        }
        Command::Delete { messages, flow, all_or_none } => {
            let mut forms = vec![command.clone()];
            if messages.len() == 1 {
                let (messages, all_or_none) = (messages.clone(), !*all_or_none);
                forms.push(Command::Delete { messages, flow: *flow, all_or_none });
            }
            forms
        }
        Command::Logout { login } => {
            let without = login.as_ref().map(|_| Command::Logout { login: None });
            std::iter::once(command.clone()).chain(without).collect()
        }
        _ => vec![command.clone()],
    }
}

/// The forms of a login or registration, by the tokens that are asked for.
pub(crate) fn with_grants(command: &Command) -> Vec<Command> {
    let grants =
        [GrantKind::Pair, GrantKind::Token, GrantKind::Connection, GrantKind::Nothing].into_iter();
    match command {
        Command::Register(registration) => grants
            .map(|grant| {
                let mut form = registration.clone();
                form.grant = grant;
                Command::Register(form)
            })
            .collect(),
        Command::Login { identifier, password, .. } => grants
            .map(|grant| Command::Login {
                identifier: identifier.clone(),
                password: password.clone(),
                grant,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// True if carrying the command out twice changes nothing more than once.
pub(crate) fn is_repeatable(command: &Command) -> bool {
    match command {
        Command::GetUser { .. }
        | Command::SearchUsers { .. }
        | Command::GetPhoto { .. }
        | Command::OpenChat { .. }
        | Command::GetFlow { .. }
        | Command::ListFlows { .. }
        | Command::GetChanges { .. }
        | Command::ListBlocked
        | Command::Block { .. }
        | Command::Unblock { .. }
        | Command::Login { .. } => true,
        Command::History { range, mark_read, .. } => *range != HistoryRange::Unread && !mark_read,
        _ => false,
    }
}

/// The kinds of flow that a request may name: those that were asked for, and where that was any,
/// groups and channels too, the known kind first.
fn kinds_of(
    flow: FlowId,
    asked: FlowKindFilter,
    mut is_shared: impl FnMut(FlowId) -> bool,
) -> [FlowKindFilter; 2] {
    use FlowKindFilter::{Any, Chat, Shared};
    match asked {
        Any if is_shared(flow) => [Shared, Any],
        Any => [Any, Shared],
        Chat | Shared => [asked, Any],
    }
}

fn with_other_form(user: &UserRef, directory: &Directory) -> impl Iterator<Item = UserRef> {
    std::iter::once(user.clone()).chain(directory.other_form(user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{Content, FlowKind, UserId};

    fn forms<'a>(command: &'a Command, directory: &Directory) -> Forms<'a> {
        Forms::new(command, directory, |flow| directory.is_shared(flow))
    }

    #[test]
    fn the_first_form_is_the_command_itself_unless_more_is_known() {
        let directory = Directory::new();
        let flow = FlowId::new(7).unwrap();
        let history = Command::History {
            flow,
            kinds: FlowKindFilter::Any,
            range: HistoryRange::All,
            mark_read: true,
        };
        assert_eq!(forms(&history, &directory).next().as_ref(), Some(&history));
        directory.learn_flow(flow, FlowKind::Group);
        let first = forms(&history, &directory).next();
        assert!(matches!(first, Some(Command::History { kinds: FlowKindFilter::Shared, .. })));
        let content = Content::text("hello");
        let message = NewMessage { flow, kinds: FlowKindFilter::Any, content, key: None };
        let send = Command::Send(Box::new(message.clone()));
        let found: Vec<_> = forms(&send, &directory).collect();
        let shared = NewMessage { kinds: FlowKindFilter::Shared, ..message };
        assert_eq!(found, [Command::Send(Box::new(shared)), send]);
    }

    #[test]
    fn a_user_is_named_in_the_other_way_where_it_is_known() {
        let directory = Directory::new();
        let id = UserId::new(5).unwrap();
        let open = Command::OpenChat { with: UserRef::Id(id) };
        assert_eq!(forms(&open, &directory).count(), 1);
        directory.learn_user(id, "ann");
        let with = UserRef::Login("ann".to_owned());
        let found: Vec<_> = forms(&open, &directory).collect();
        assert_eq!(found, [open, Command::OpenChat { with }]);
    }
}
