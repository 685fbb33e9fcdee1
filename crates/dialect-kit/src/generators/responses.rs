//! Answers, faults and responses.

use crate::generators::values::{
    flow_id, flow_summary, kind_of, message, secret, timestamp, user, user_id, user_summary,
};
use crate::stories::all_faults;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use tolmach_dialect::{Correlation, Response};
use tolmach_domain::{
    Answer, Changes, Command, Content, Fault, Flow, FlowId, FlowKindFilter, FlowSummary, Grant,
    GrantKind, HistoryRange, Message, MessagePage, Photo, Secret, Tokens, Version,
};

/// A fault.
pub fn fault() -> BoxedStrategy<Fault> {
    prop_oneof![
        4 => proptest::sample::select(all_faults()),
        1 => "[a-z ]{1,30}".prop_map(|reason| Fault::invalid("text", reason)),
        1 => (1..3600_u64).prop_map(|seconds| {
            Fault::TooMany { retry_after: Duration::from_secs(seconds) }
        }),
    ]
    .boxed()
}

/// An answer to `command`.
pub fn answer(command: &Command) -> BoxedStrategy<Answer> {
    match command.clone() {
        Command::Register(registration) => granted(registration.grant),
        Command::Login { grant, .. } => granted(grant),
        Command::Refresh { .. } => granted(GrantKind::Pair),
        Command::Logout { .. } => Just(Answer::LoggedOut).boxed(),
        Command::Recover { .. } => Just(Answer::RecoveryAccepted).boxed(),
        Command::ResetPassword { .. } => Just(Answer::PasswordReset).boxed(),
        Command::DeleteAccount { .. } => {
            user_id().prop_map(|user| Answer::AccountDeleted { user }).boxed()
        }
        Command::CreateProfile(_) => Just(Answer::ProfileCreated).boxed(),
        Command::GetUser { .. } => user().prop_map(|user| Answer::User(Box::new(user))).boxed(),
        Command::SearchUsers { limit, .. } => {
            vec(user(), 0..=usize::try_from(limit).unwrap_or(usize::MAX).min(4))
                .prop_map(Answer::Users)
                .boxed()
        }
        Command::GetPhoto { .. } => vec(any::<u8>(), 1..64)
            .prop_map(|tail| {
                let content = Bytes::from([&b"\x89PNG\r\n\x1a\n"[..], &tail].concat());
                Answer::Photo(Photo { media_type: "image/png".to_owned(), content })
            })
            .boxed(),
        Command::OpenChat { .. } => (flow_id(), known(user_summary()), any::<bool>())
            .prop_map(|(flow, with, created)| Answer::ChatOpened { flow, with, created })
            .boxed(),
        Command::CreateFlow(new) => flow_id()
            .prop_map(move |flow| Answer::FlowCreated { flow, title: new.title.clone() })
            .boxed(),
        Command::DeleteFlow { flow, .. } => Just(Answer::FlowDeleted { flow }).boxed(),
        Command::GetFlow { flow, kinds, members } => flow_summary(kinds, members)
            .prop_map(move |summary| Answer::Flow(Box::new(with_flow_id(flow, summary))))
            .boxed(),
        Command::AddMembers { flow, users } => Just(Answer::MembersAdded { flow, users }).boxed(),
        Command::RemoveMembers { flow, users } => {
            Just(Answer::MembersRemoved { flow, users }).boxed()
        }
        Command::ListFlows { limit, members, .. } => {
            let most =
                limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX).min(4);
            vec(flow_summary(FlowKindFilter::Any, members), 0..=most)
                .prop_map(Answer::Flows)
                .boxed()
        }
        Command::Send(new) => (known(message()), kind_of(new.kinds), any::<bool>())
            .prop_map(move |(message, flow_kind, repeated)| {
                let posted = |message| {
                    Box::new(Message {
                        flow: new.flow,
                        flow_kind,
                        content: new.content.clone(),
                        edited_at: None,
                        ..message
                    })
                };
                Answer::Sent { message: message.map(posted), repeated }
            })
            .boxed(),
        Command::Edit { message: id, text, .. } => message()
            .prop_map(move |message| {
                let content = Content { text: text.clone(), ..message.content };
                Answer::Edited(Box::new(Message {
                    id,
                    content,
                    edited_at: Some(message.posted_at),
                    ..message
                }))
            })
            .boxed(),
        Command::Delete { messages, all_or_none, .. } => {
            let least = if all_or_none { messages.len() } else { 0 };
            (least..=messages.len())
                .prop_map(move |count| Answer::Deleted {
                    deleted: messages[..count].to_vec(),
                    left: messages[count..].to_vec(),
                })
                .boxed()
        }
        Command::History { flow, kinds, range, .. } => {
            let most = match range {
                HistoryRange::Newest { limit, .. } => {
                    usize::try_from(limit).unwrap_or(usize::MAX).min(4)
                }
                HistoryRange::All | HistoryRange::Unread => 4,
            };
            (vec(message(), 0..=most), kind_of(kinds))
                .prop_map(move |(mut messages, flow_kind)| {
                    let mut ids = BTreeSet::new();
                    messages.retain(|message| ids.insert(message.id));
                    let messages: Vec<Message> = (1..)
                        .zip(messages)
                        .map(|(posted, message)| Message {
                            flow,
                            flow_kind,
                            posted: Version(posted),
                            version: Version(posted),
                            ..message
                        })
                        .collect();
                    let version = messages.last().map_or(Version(0), |message| message.version);
                    Answer::History(Box::new(MessagePage { flow, messages, version }))
                })
                .boxed()
        }
        Command::GetChanges { .. } => (
            vec(message(), 0..3),
            vec(flow_summary(FlowKindFilter::Any, true), 0..3),
            option::of(user()),
            timestamp(),
            any::<bool>(),
        )
            .prop_map(|(messages, flows, user, until, more)| {
                Answer::Changes(Box::new(Changes {
                    messages,
                    flows,
                    user: user.map(Box::new),
                    until,
                    more,
                }))
            })
            .boxed(),
        Command::ShowTyping { .. } => Just(Answer::TypingShown).boxed(),
        Command::Block { .. } => user_id().prop_map(|user| Answer::Blocked { user }).boxed(),
        Command::Unblock { .. } => user_id().prop_map(|user| Answer::Unblocked { user }).boxed(),
        Command::ListBlocked => vec(user(), 0..=4).prop_map(Answer::Users).boxed(),
    }
}

fn granted(kind: GrantKind) -> BoxedStrategy<Answer> {
    (known(user()), "[a-z]{4,8}\\.[a-z]{4,8}\\.[a-z]{4,8}", secret())
        .prop_map(move |(user, access, refresh)| {
            let tokens = match kind {
                GrantKind::Nothing => Tokens::Nothing,
                GrantKind::Connection => Tokens::Connection,
                GrantKind::Token => Tokens::Token(Secret::new(access)),
                GrantKind::Pair => Tokens::Pair { access: Secret::new(access), refresh },
            };
            Answer::Granted(Box::new(Grant { user: user.map(Box::new), tokens }))
        })
        .boxed()
}

fn with_flow_id(flow: FlowId, summary: FlowSummary) -> FlowSummary {
    let last = summary.last.map(|message| Message { flow, ..message });
    FlowSummary { flow: Flow { id: flow, ..summary.flow }, last, ..summary }
}

/// A value that a wire may leave unknown.
fn known<T: Strategy>(value: T) -> impl Strategy<Value = Option<T::Value>> {
    option::weighted(0.8, value)
}

/// A response to `command`.
pub fn response(command: &Command) -> impl Strategy<Value = Response> + use<> {
    let outcome = prop_oneof![3 => answer(command).prop_map(Ok), 1 => fault().prop_map(Err)];
    outcome.prop_map(|outcome| Response::new(Correlation::NONE, outcome))
}
