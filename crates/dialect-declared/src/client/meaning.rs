//! The part of a command that must arrive: without it the server would do another thing.

use tolmach_domain::{Command, FlowKindFilter, GrantKind, HistoryRange};

/// True if a request that the server reads as `said` does what `asked` asks for. A part that the
/// wire cannot narrow is left to the client, which cuts the answer.
pub(super) fn is_kept(asked: &Command, said: &Command) -> bool {
    match (asked, said) {
        (Command::Register(asked), Command::Register(said)) => {
            let login = asked.login.as_ref().or(asked.email.as_ref());
            said.login.as_ref() == login
                && said.password == asked.password
                && is_granted(said.grant, asked.grant)
        }
        (
            Command::Login { identifier, password, grant },
            Command::Login { identifier: said, password: said_password, grant: said_grant },
        ) => {
            identifier.as_str() == said.as_str()
                && password == said_password
                && is_granted(*said_grant, *grant)
        }
        (Command::Logout { .. }, Command::Logout { .. }) => true,
        (
            Command::DeleteAccount { login, password, .. },
            Command::DeleteAccount { login: said, password: said_password, .. },
        ) => login == said && password == said_password,
        (Command::CreateProfile(asked), Command::CreateProfile(said)) => {
            asked.username == said.username && asked.name == said.name
        }
        (Command::SearchUsers { query, .. }, Command::SearchUsers { query: said, .. }) => {
            query == said
        }
        (Command::CreateFlow(asked), Command::CreateFlow(said)) => {
            (asked.kind, &asked.title, &asked.members) == (said.kind, &said.title, &said.members)
        }
        (
            Command::DeleteFlow { flow, kinds },
            Command::DeleteFlow { flow: said, kinds: said_kinds },
        )
        | (
            Command::GetFlow { flow, kinds, .. },
            Command::GetFlow { flow: said, kinds: said_kinds, .. },
        ) => flow == said && are_kinds_kept(*kinds, *said_kinds),
        (
            Command::ListFlows { offset, .. },
            Command::ListFlows { limit: said_limit, offset: said, .. },
        ) => said == offset || (*said == 0 && said_limit.is_none()),
        (Command::Send(asked), Command::Send(said)) => {
            let (content, arrived) = (&asked.content, &said.content);
            let has_files = !content.attachments.is_empty() || content.emoji.is_some();
            let are_files_lost = arrived.attachments.is_empty() && arrived.emoji.is_none();
            asked.flow == said.flow
                && content.text == arrived.text
                && are_kinds_kept(asked.kinds, said.kinds)
                && !(content.text.is_empty() && has_files && are_files_lost)
        }
        (
            Command::Edit { message, text, .. },
            Command::Edit { message: said, text: said_text, .. },
        ) => message == said && text == said_text,
        (
            Command::Delete { messages, all_or_none, .. },
            Command::Delete { messages: said, all_or_none: said_all_or_none, .. },
        ) => messages == said && (all_or_none == said_all_or_none || messages.len() == 1),
        (
            Command::History { flow, kinds, range, .. },
            Command::History { flow: said, kinds: said_kinds, range: said_range, .. },
        ) => {
            flow == said
                && are_kinds_kept(*kinds, *said_kinds)
                && is_range_kept(*range, *said_range)
        }
        (
            Command::GetChanges { since, flow, .. },
            Command::GetChanges { since: said, flow: said_flow, .. },
        ) => since == said && (said_flow.is_none() || said_flow == flow),
        (asked, said) => asked == said,
    }
}

/// True if the tokens of one kind can stand for those of another.
fn is_granted(said: GrantKind, asked: GrantKind) -> bool {
    match said {
        GrantKind::Nothing | GrantKind::Pair => true,
        // The wire cannot try a password without logging in.
        GrantKind::Connection => asked != GrantKind::Nothing,
        GrantKind::Token => asked != GrantKind::Pair,
    }
}

/// True unless the server would accept only other kinds of flows.
fn are_kinds_kept(asked: FlowKindFilter, said: FlowKindFilter) -> bool {
    said == asked || said == FlowKindFilter::Any
}

fn is_range_kept(asked: HistoryRange, said: HistoryRange) -> bool {
    match (asked, said) {
        (HistoryRange::Newest { .. }, HistoryRange::All) => true,
        (HistoryRange::Newest { offset, .. }, HistoryRange::Newest { offset: said_offset, .. }) => {
            offset == said_offset
        }
        (asked, said) => asked == said,
    }
}
