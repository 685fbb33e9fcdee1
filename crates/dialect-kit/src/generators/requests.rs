//! Commands and requests.

use crate::generators::values::{
    content, email, encoded, flow_id, kinds, login, message_id, name, photo, secret, text,
    timestamp, user_id,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tolmach_dialect::{Correlation, Request};
use tolmach_domain::{
    Command, Credentials, FlowKind, GrantKind, HistoryRange, NewFlow, NewMessage, PhotoOf, Profile,
    RecoveryIdentifier, Registration, Secret, UserRef,
};

fn grant_kind() -> impl Strategy<Value = GrantKind> {
    prop_oneof![
        Just(GrantKind::Nothing),
        Just(GrantKind::Connection),
        Just(GrantKind::Token),
        Just(GrantKind::Pair)
    ]
}

fn user_ref() -> impl Strategy<Value = UserRef> {
    prop_oneof![
        Just(UserRef::Me),
        user_id().prop_map(UserRef::Id),
        login().prop_map(UserRef::Login)
    ]
}

fn registration() -> BoxedStrategy<Registration> {
    (
        (
            option::of(login()),
            secret(),
            option::of(name()),
            option::of(email()),
            option::of("\\+[0-9]{7,12}"),
        ),
        (any::<(bool, bool)>(), option::of(text()), option::of(encoded()), grant_kind()),
    )
        .prop_map(
            |((login, password, username, email, phone), ((bot, profile), bio, avatar, grant))| {
                Registration {
                    login,
                    password,
                    username,
                    email,
                    phone,
                    bot,
                    bio,
                    avatar,
                    profile,
                    grant,
                }
            },
        )
        .boxed()
}

fn range() -> impl Strategy<Value = HistoryRange> {
    prop_oneof![
        (1..1000_u32, 0..1000_u32)
            .prop_map(|(limit, offset)| HistoryRange::Newest { limit, offset }),
        Just(HistoryRange::All),
        Just(HistoryRange::Unread)
    ]
}

/// A command.
pub fn command() -> BoxedStrategy<Command> {
    let people = || vec(user_id(), 1..4);
    let accounts = prop_oneof![
        registration().prop_map(|registration| Command::Register(Box::new(registration))),
        (prop_oneof![login().boxed(), email().boxed()], secret(), grant_kind()).prop_map(
            |(identifier, password, grant)| Command::Login {
                identifier: identifier.into(),
                password,
                grant,
            }
        ),
        secret().prop_map(|token| Command::Refresh { token }),
        option::of(login()).prop_map(|login| Command::Logout { login }),
        email().prop_map(|email| Command::Recover { identifier: RecoveryIdentifier::Email(email) }),
        login().prop_map(|login| Command::Recover { identifier: RecoveryIdentifier::Login(login) }),
        (secret(), secret())
            .prop_map(|(token, password)| Command::ResetPassword { token, password }),
        (option::of(user_id()), login(), secret())
            .prop_map(|(user, login, password)| Command::DeleteAccount { user, login, password }),
        (name(), name(), text(), option::of(photo())).prop_map(|(username, name, bio, photo)| {
            Command::CreateProfile(Box::new(Profile { username, name, bio, photo }))
        }),
        user_ref().prop_map(|user| Command::GetUser { user }),
        (name(), 1..=50_u32).prop_map(|(query, limit)| Command::SearchUsers { query, limit }),
        user_id().prop_map(|user| Command::GetPhoto { of: PhotoOf::User(user) }),
        flow_id().prop_map(|flow| Command::GetPhoto { of: PhotoOf::Flow(flow) }),
    ];
    let flows = prop_oneof![
        user_ref().prop_map(|with| Command::OpenChat { with }),
        user_ref().prop_map(|user| Command::Block { user }),
        user_ref().prop_map(|user| Command::Unblock { user }),
        Just(Command::ListBlocked),
        (any::<bool>(), name(), text(), people(), option::of(photo()), option::of("[!-~]{1,20}"))
            .prop_map(|(channel, title, info, members, photo, key)| {
                let kind = if channel { FlowKind::Channel } else { FlowKind::Group };
                Command::CreateFlow(Box::new(NewFlow { kind, title, info, members, photo, key }))
            }),
        (flow_id(), kinds()).prop_map(|(flow, kinds)| Command::DeleteFlow { flow, kinds }),
        (flow_id(), kinds(), any::<bool>()).prop_map(|(flow, kinds, members)| Command::GetFlow {
            flow,
            kinds,
            members
        }),
        (flow_id(), people()).prop_map(|(flow, users)| Command::AddMembers { flow, users }),
        (flow_id(), people()).prop_map(|(flow, users)| Command::RemoveMembers { flow, users }),
        (option::of(0..1000_u32), 0..1000_u32, any::<bool>())
            .prop_map(|(limit, offset, members)| Command::ListFlows { limit, offset, members }),
    ];
    let messages = prop_oneof![
        (flow_id(), kinds(), content(), option::of("[1-9][0-9]{0,8}")).prop_map(
            |(flow, kinds, content, key)| Command::Send(Box::new(NewMessage {
                flow,
                kinds,
                content,
                key
            }))
        ),
        (message_id(), option::of(flow_id()), text())
            .prop_map(|(message, flow, text)| Command::Edit { message, flow, text }),
        (vec(message_id(), 1..4), option::of(flow_id()), any::<bool>()).prop_map(
            |(messages, flow, all_or_none)| Command::Delete { messages, flow, all_or_none }
        ),
        (flow_id(), kinds(), range(), any::<bool>()).prop_map(|(flow, kinds, range, mark_read)| {
            let mark_read = mark_read || range == HistoryRange::Unread;
            Command::History { flow, kinds, range, mark_read }
        }),
        (timestamp(), option::of(flow_id()), 1..=1000_u32)
            .prop_map(|(since, flow, limit)| Command::GetChanges { since, flow, limit }),
        (flow_id(), any::<bool>()).prop_map(|(flow, active)| Command::ShowTyping { flow, active }),
    ];
    prop_oneof![1 => accounts, 1 => flows, 2 => messages].boxed()
}

/// A request with any credentials.
pub fn request() -> impl Strategy<Value = Request> {
    let credentials = prop_oneof![
        Just(Credentials::Nothing),
        Just(Credentials::Connection),
        secret().prop_map(Credentials::Token),
        (user_id(), secret()).prop_map(|(user, token)| Credentials::TokenOf(user, token)),
        "[a-z]{4,8}\\.[a-z]{4,8}\\.[a-z]{4,8}"
            .prop_map(|token| Credentials::Bearer(Secret::new(token))),
    ];
    (credentials, command())
        .prop_map(|(credentials, command)| Request::new(Correlation::NONE, credentials, command))
}
