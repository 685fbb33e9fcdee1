//! Fields of the model, read by name.

use super::datum::{Datum, Source};
use std::borrow::Cow;
use tolmach_domain::{
    Answer, AttachmentKind, Command, Content, Event, EventKind, Flow, FlowKind, FlowKindFilter,
    FlowSummary, GrantKind, HistoryRange, Message, RecoveryIdentifier, Tokens, User, UserId,
    UserRef, UserSummary,
};

/// A field of an object, none where it has no such field. `viewer` is the user whose connection the
/// frame is for.
pub(crate) fn read<'a>(source: Source<'a>, field: &str, viewer: Option<UserId>) -> Datum<'a> {
    match source {
        Source::Message(message) => message_field(message, field),
        Source::Summary(summary) => summary_field(summary, field, viewer),
        Source::NewFlow(flow, members) => new_flow_field(flow, members, field, viewer),
        Source::User(user) => user_field(user, field),
        Source::Author(author) => author_field(author, field),
        Source::Known(known) => match (known, field) {
            (RecoveryIdentifier::Email(email), "email") => Datum::text(email),
            (RecoveryIdentifier::Login(login), "login") => Datum::text(login),
            _ => Datum::None,
        },
        Source::Reference(user) => match (user, field) {
            (UserRef::Id(id), "id") => Datum::Integer(id.get()),
            (UserRef::Login(login), "login") => Datum::text(login),
            _ => Datum::None,
        },
        Source::Command(command) => command_field(command, field),
        Source::Answer(answer) => answer_field(answer, field, viewer),
        Source::Event(event) => event_field(event, field, viewer),
    }
}

fn message_field<'a>(message: &'a Message, field: &str) -> Datum<'a> {
    match field {
        "id" => Datum::Integer(message.id.get()),
        "flow" => Datum::Integer(message.flow.get()),
        "flow_kind" => Datum::FlowKind(message.flow_kind),
        "author" => Datum::Object(Source::Author(&message.author)),
        // A wire without holes for files names them in the text; any other uses `plain_text`.
        "text" => Datum::Text(message.content.text_naming_files()),
        "plain_text" => Datum::text(&message.content.text),
        "posted_at" => Datum::Time(message.posted_at),
        "edited_at" => Datum::optional_time(message.edited_at),
        "deleted_at" => Datum::optional_time(message.deleted_at),
        "changed_at" => Datum::Time(message.changed_at),
        _ => content_field(&message.content, field),
    }
}

fn content_field<'a>(content: &'a Content, field: &str) -> Datum<'a> {
    let file = |kind| {
        let files = content.attachments.iter();
        Datum::optional_text(files.into_iter().find(|file| file.kind == kind).map(|f| &*f.data))
    };
    match field {
        "text" => Datum::text(&content.text),
        "content_type" => Datum::ContentType(&content.content_type),
        "reply_to" => Datum::optional_id(content.reply_to.map(|id| id.get())),
        "emoji" => Datum::optional_text(content.emoji.as_deref()),
        "picture" => file(AttachmentKind::Picture),
        "video" => file(AttachmentKind::Video),
        "audio" => file(AttachmentKind::Audio),
        "document" => file(AttachmentKind::Document),
        _ => Datum::None,
    }
}

fn flow_field<'a>(flow: &'a Flow, field: &str) -> Datum<'a> {
    match field {
        "id" => Datum::Integer(flow.id.get()),
        "kind" => Datum::FlowKind(flow.kind),
        "title" => Datum::text(&flow.title),
        "info" => Datum::text(&flow.info),
        "owner" => Datum::optional_id(flow.owner.map(UserId::get)),
        "created_at" => Datum::Time(flow.created_at),
        "changed_at" => Datum::Time(flow.changed_at),
        _ => Datum::None,
    }
}

fn summary_field<'a>(summary: &'a FlowSummary, field: &str, viewer: Option<UserId>) -> Datum<'a> {
    match field {
        "members" => Datum::objects(&summary.members, Source::User),
        "last" => match &summary.last {
            Some(message) => Datum::Object(Source::Message(message)),
            None => Datum::None,
        },
        "first" => Datum::optional_id(summary.first.map(|id| id.get())),
        "name" => Datum::Text(Cow::Owned(name_for(summary, viewer, |user| &user.username))),
        "name_by_login" => Datum::Text(Cow::Owned(name_for(summary, viewer, |user| &user.login))),
        "others" => {
            let others = summary.members.iter().filter(|member| Some(member.id) != viewer);
            Datum::List(others.map(|user| Datum::Object(Source::User(user))).collect())
        }
        "business" => Datum::Flag(summary.has_business()),
        _ => flow_field(&summary.flow, field),
    }
}

fn new_flow_field<'a>(
    flow: &'a Flow,
    members: &'a [UserSummary],
    field: &str,
    viewer: Option<UserId>,
) -> Datum<'a> {
    let others = || members.iter().filter(|member| Some(member.id) != viewer);
    let other = if flow.kind == FlowKind::Chat { others().next() } else { None };
    match (field, other) {
        ("name", Some(other)) => Datum::text(&other.username),
        ("name_by_login", Some(other)) => Datum::text(&other.login),
        ("name" | "name_by_login", None) => Datum::text(&flow.title),
        ("members", _) => Datum::objects(members, Source::Author),
        ("others", _) => Datum::List(others().map(|o| Datum::Object(Source::Author(o))).collect()),
        _ => flow_field(flow, field),
    }
}

/// The name of a flow for a viewer: a response from a wire without identities does not show which
/// member is the viewer, and names all.
fn name_for(
    summary: &FlowSummary,
    viewer: Option<UserId>,
    name_of: impl Fn(&User) -> &str,
) -> String {
    match viewer {
        Some(viewer) => summary.title_for(viewer, name_of),
        None if summary.flow.title.is_empty() => {
            let names: Vec<_> = summary.members.iter().map(name_of).collect();
            names.join(", ")
        }
        None => summary.flow.title.clone(),
    }
}

fn user_field<'a>(user: &'a User, field: &str) -> Datum<'a> {
    match field {
        "id" => Datum::Integer(user.id.get()),
        "login" => Datum::text(&user.login),
        "username" => Datum::text(&user.username),
        "name" => Datum::text(&user.name),
        "email" => Datum::optional_text(user.email.as_deref()),
        "phone" => Datum::optional_text(user.phone.as_deref()),
        "bio" => Datum::text(&user.bio),
        "avatar" => Datum::optional_text(user.avatar.as_deref()),
        "bot" => Datum::Flag(user.bot),
        "admin" => Datum::Flag(user.admin),
        "business" => Datum::Flag(user.business),
        "created_at" => Datum::Time(user.created_at),
        _ => Datum::None,
    }
}

fn author_field<'a>(author: &'a UserSummary, field: &str) -> Datum<'a> {
    match field {
        "id" => Datum::Integer(author.id.get()),
        "login" => Datum::text(&author.login),
        "username" => Datum::text(&author.username),
        "name" => Datum::text(&author.name),
        _ => Datum::None,
    }
}

fn grant(grant: GrantKind) -> Datum<'static> {
    Datum::Word(match grant {
        GrantKind::Nothing => "nothing",
        GrantKind::Connection => "connection",
        GrantKind::Token => "token",
        GrantKind::Pair => "pair",
    })
}

fn kinds(kinds: FlowKindFilter) -> Datum<'static> {
    Datum::Word(match kinds {
        FlowKindFilter::Any => "any",
        FlowKindFilter::Chat => "chat",
        FlowKindFilter::Shared => "shared",
    })
}

fn command_field<'a>(command: &'a Command, field: &str) -> Datum<'a> {
    let number = |number: u32| Datum::Integer(i64::from(number));
    match (command, field) {
        (Command::Register(new), "login") => {
            Datum::optional_text(new.login.as_deref().or(new.email.as_deref()))
        }
        (Command::Register(new), "password") => Datum::text(new.password.expose()),
        (Command::Register(new), "username") => Datum::optional_text(new.username.as_deref()),
        (Command::Register(new), "email") => Datum::optional_text(new.email.as_deref()),
        (Command::Register(new), "phone") => Datum::optional_text(new.phone.as_deref()),
        (Command::Register(new), "bot") => Datum::Flag(new.bot),
        (Command::Register(new), "bio") => Datum::optional_text(new.bio.as_deref()),
        (Command::Register(new), "avatar") => Datum::optional_text(new.avatar.as_deref()),
        (Command::Register(new), "profile") => Datum::Flag(new.profile),
        (Command::Register(new), "grant") => grant(new.grant),
        (Command::Login { identifier, .. }, "identifier") => Datum::text(identifier.as_str()),
        (Command::Login { password, .. }, "password") => Datum::text(password.expose()),
        (Command::Login { grant: kind, .. }, "grant") => grant(*kind),
        (Command::Refresh { token } | Command::ResetPassword { token, .. }, "token") => {
            Datum::text(token.expose())
        }
        (Command::ResetPassword { password, .. }, "password") => Datum::text(password.expose()),
        (Command::Logout { login }, "login") => Datum::optional_text(login.as_deref()),
        (Command::Recover { identifier }, "known") => Datum::Object(Source::Known(identifier)),
        (Command::DeleteAccount { user, .. }, "user") => Datum::optional_id(user.map(UserId::get)),
        (Command::DeleteAccount { login, .. }, "login") => Datum::text(login),
        (Command::DeleteAccount { password, .. }, "password") => Datum::text(password.expose()),
        (Command::CreateProfile(profile), "username") => Datum::text(&profile.username),
        (Command::CreateProfile(profile), "name") => Datum::text(&profile.name),
        (Command::CreateProfile(profile), "bio") => Datum::text(&profile.bio),
        (Command::GetUser { user }, "who") => Datum::Object(Source::Reference(user)),
        (Command::SearchUsers { query, .. }, "query") => Datum::text(query),
        (Command::SearchUsers { limit, .. }, "limit") => number(*limit),
        (Command::OpenChat { with }, "with") => Datum::Object(Source::Reference(with)),
        (Command::CreateFlow(new), "kind") => Datum::FlowKind(new.kind),
        (Command::CreateFlow(new), "title") => Datum::text(&new.title),
        (Command::CreateFlow(new), "info") => Datum::text(&new.info),
        (Command::CreateFlow(new), "members") => Datum::ids(&new.members, UserId::get),
        (Command::CreateFlow(new), "key") => Datum::optional_text(new.key.as_deref()),
        (
            Command::DeleteFlow { flow, .. }
            | Command::GetFlow { flow, .. }
            | Command::AddMembers { flow, .. }
            | Command::RemoveMembers { flow, .. }
            | Command::History { flow, .. }
            | Command::ShowTyping { flow, .. },
            "flow",
        ) => Datum::Integer(flow.get()),
        (
            Command::DeleteFlow { kinds: filter, .. }
            | Command::GetFlow { kinds: filter, .. }
            | Command::History { kinds: filter, .. },
            "kinds",
        ) => kinds(*filter),
        (Command::GetFlow { members, .. } | Command::ListFlows { members, .. }, "members") => {
            Datum::Flag(*members)
        }
        (Command::AddMembers { users, .. } | Command::RemoveMembers { users, .. }, "users") => {
            Datum::ids(users, UserId::get)
        }
        (Command::ListFlows { limit, .. }, "limit") => limit.map_or(Datum::None, number),
        (Command::ListFlows { offset, .. }, "offset") => number(*offset),
        (Command::Send(new), "flow") => Datum::Integer(new.flow.get()),
        (Command::Send(new), "kinds") => kinds(new.kinds),
        (Command::Send(new), "key") => Datum::optional_text(new.key.as_deref()),
        (Command::Send(new), _) => content_field(&new.content, field),
        (Command::Edit { message, .. }, "message") => Datum::Integer(message.get()),
        (
            Command::Edit { flow, .. }
            | Command::Delete { flow, .. }
            | Command::GetChanges { flow, .. },
            "flow",
        ) => Datum::optional_id(flow.map(|flow| flow.get())),
        (Command::Edit { text, .. }, "text") => Datum::text(text),
        (Command::Delete { messages, .. }, "messages") => Datum::ids(messages, |id| id.get()),
        (Command::Delete { all_or_none, .. }, "all_or_none") => Datum::Flag(*all_or_none),
        (Command::History { range, .. }, "window") => Datum::Word(match range {
            HistoryRange::All => "all",
            HistoryRange::Unread => "unread",
            HistoryRange::Newest { .. } => "newest",
        }),
        (Command::History { range: HistoryRange::Newest { limit, .. }, .. }, "limit") => {
            number(*limit)
        }
        (Command::History { range: HistoryRange::Newest { offset, .. }, .. }, "offset") => {
            number(*offset)
        }
        (Command::History { mark_read, .. }, "mark_read") => Datum::Flag(*mark_read),
        (Command::GetChanges { since, .. }, "since") => Datum::Time(*since),
        (Command::GetChanges { limit, .. }, "limit") => number(*limit),
        (Command::ShowTyping { active, .. }, "active") => Datum::Flag(*active),
        _ => Datum::None,
    }
}

fn answer_field<'a>(answer: &'a Answer, field: &str, viewer: Option<UserId>) -> Datum<'a> {
    match (answer, field) {
        (Answer::Granted(grant), "user") => match &grant.user {
            Some(user) => Datum::Object(Source::User(user)),
            None => Datum::None,
        },
        (Answer::Granted(grant), _) => match (&grant.tokens, field) {
            (Tokens::Token(token), "token") => Datum::text(token.expose()),
            (Tokens::Pair { access, .. }, "access") => Datum::text(access.expose()),
            (Tokens::Pair { refresh, .. }, "refresh") => Datum::text(refresh.expose()),
            _ => Datum::None,
        },
        (Answer::AccountDeleted { user }, "user") => Datum::Integer(user.get()),
        (Answer::User(user), _) => user_field(user, field),
        (Answer::Users(users), "users") => Datum::objects(users, Source::User),
        (
            Answer::ChatOpened { flow, .. }
            | Answer::FlowCreated { flow, .. }
            | Answer::FlowDeleted { flow }
            | Answer::MembersAdded { flow, .. }
            | Answer::MembersRemoved { flow, .. },
            "flow",
        ) => Datum::Integer(flow.get()),
        (Answer::ChatOpened { with: Some(with), .. }, "with") => {
            Datum::Object(Source::Author(with))
        }
        (Answer::ChatOpened { created, .. }, "created") => Datum::Flag(*created),
        (Answer::FlowCreated { title, .. }, "title") => Datum::text(title),
        (Answer::Flow(summary), _) => summary_field(summary, field, viewer),
        (Answer::MembersAdded { users, .. } | Answer::MembersRemoved { users, .. }, "users") => {
            Datum::ids(users, UserId::get)
        }
        (Answer::Flows(flows), "flows") => Datum::objects(flows, Source::Summary),
        (Answer::Sent { message: Some(message), .. }, "message") => {
            Datum::Object(Source::Message(message))
        }
        (Answer::Sent { repeated, .. }, "repeated") => Datum::Flag(*repeated),
        (Answer::Edited(message), _) => message_field(message, field),
        (Answer::Deleted { deleted, .. }, "messages") => Datum::ids(deleted, |id| id.get()),
        (Answer::Deleted { left, .. }, "left") => Datum::ids(left, |id| id.get()),
        (Answer::History(page), "flow") => Datum::Integer(page.flow.get()),
        (Answer::History(page), "messages") => Datum::objects(&page.messages, Source::Message),
        (Answer::History(page), "newest") => {
            let messages = page.messages.iter().rev();
            Datum::List(messages.map(|message| Datum::Object(Source::Message(message))).collect())
        }
        (Answer::Changes(changes), "messages") => {
            Datum::objects(&changes.messages, Source::Message)
        }
        (Answer::Changes(changes), "flows") => Datum::objects(&changes.flows, Source::Summary),
        (Answer::Changes(changes), "user") => match &changes.user {
            Some(user) => Datum::Object(Source::User(user)),
            None => Datum::None,
        },
        (Answer::Changes(changes), "until") => Datum::Time(changes.until),
        (Answer::Changes(changes), "more") => Datum::Flag(changes.more),
        _ => Datum::None,
    }
}

fn event_field<'a>(event: &'a Event, field: &str, viewer: Option<UserId>) -> Datum<'a> {
    match (&event.kind, field) {
        (EventKind::Posted(message) | EventKind::Edited(message), "message") => {
            Datum::Object(Source::Message(message))
        }
        (EventKind::FlowCreated { flow, members }, "flow") => {
            Datum::Object(Source::NewFlow(flow, members))
        }
        (EventKind::FlowCreated { members, .. }, "members") => {
            Datum::objects(members, Source::Author)
        }
        (EventKind::FlowCreated { members, .. }, "with") => {
            match members.iter().find(|member| Some(member.id) != viewer) {
                Some(other) => Datum::Object(Source::Author(other)),
                None => Datum::None,
            }
        }
        (EventKind::Deleted { messages, .. }, "messages") => {
            Datum::ids(messages, |(id, _)| id.get())
        }
        (EventKind::Deleted { by, .. } | EventKind::FlowDeleted { by, .. }, "by") => {
            Datum::Integer(by.get())
        }
        (EventKind::MembersAdded { users, .. }, "users") => Datum::objects(users, Source::Author),
        (EventKind::MembersRemoved { users, .. }, "users") => Datum::ids(users, UserId::get),
        (EventKind::Typing { user, .. }, "user") => Datum::Object(Source::Author(user)),
        (EventKind::Typing { active, .. }, "active") => Datum::Flag(*active),
        (_, "flow") => Datum::optional_id(event.flow().map(|flow| flow.get())),
        _ => Datum::None,
    }
}
