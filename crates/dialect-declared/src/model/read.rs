//! Fields of the model, read by name.

use super::datum::{Datum, List, Source};
use super::field::Field;
use std::borrow::Cow;
use tolmach_domain::{
    Answer, AttachmentKind, Command, Content, Event, EventKind, Flow, FlowKind, FlowKindFilter,
    FlowSummary, GrantKind, HistoryRange, Message, RecoveryIdentifier, Tokens, User, UserId,
    UserRef, UserSummary,
};

/// A field of an object by its name, none where it has no such field. `viewer` is the user whose
/// connection the frame is for.
pub(crate) fn read_named<'a>(source: Source<'a>, name: &str, viewer: Option<UserId>) -> Datum<'a> {
    Field::named(name).map_or(Datum::None, |field| read(source, field, viewer))
}

/// A field of an object, as [`read_named`] reads it.
pub(crate) fn read<'a>(source: Source<'a>, field: Field, viewer: Option<UserId>) -> Datum<'a> {
    match source {
        Source::Message(message) => message_field(message, field),
        Source::Summary(summary) => summary_field(summary, field, viewer),
        Source::NewFlow(flow, members) => new_flow_field(flow, members, field, viewer),
        Source::User(user) => user_field(user, field),
        Source::Author(author) => author_field(author, field),
        Source::Known(known) => match (known, field) {
            (RecoveryIdentifier::Email(email), Field::Email) => Datum::text(email),
            (RecoveryIdentifier::Login(login), Field::Login) => Datum::text(login),
            _ => Datum::None,
        },
        Source::Reference(user) => match (user, field) {
            (UserRef::Id(id), Field::Id) => Datum::Integer(id.get()),
            (UserRef::Login(login), Field::Login) => Datum::text(login),
            _ => Datum::None,
        },
        Source::Command(command) => command_field(command, field),
        Source::Answer(answer) => answer_field(answer, field, viewer),
        Source::Event(event) => event_field(event, field, viewer),
    }
}

fn message_field<'a>(message: &'a Message, field: Field) -> Datum<'a> {
    match field {
        Field::Id => Datum::Integer(message.id.get()),
        Field::Flow => Datum::Integer(message.flow.get()),
        Field::FlowKind => Datum::FlowKind(message.flow_kind),
        Field::Author => Datum::Object(Source::Author(&message.author)),
        // A wire without holes for files names them in the text; any other uses `plain_text`.
        Field::Text => Datum::Text(message.content.text_naming_files()),
        Field::PlainText => Datum::text(&message.content.text),
        Field::PostedAt => Datum::Time(message.posted_at),
        Field::EditedAt => Datum::optional_time(message.edited_at),
        Field::DeletedAt => Datum::optional_time(message.deleted_at),
        Field::ChangedAt => Datum::Time(message.changed_at),
        _ => content_field(&message.content, field),
    }
}

fn content_field<'a>(content: &'a Content, field: Field) -> Datum<'a> {
    let file = |kind| {
        let files = content.attachments.iter();
        Datum::optional_text(files.into_iter().find(|file| file.kind == kind).map(|f| &*f.data))
    };
    match field {
        Field::Text => Datum::text(&content.text),
        Field::ContentType => Datum::ContentType(&content.content_type),
        Field::ReplyTo => Datum::optional_id(content.reply_to.map(|id| id.get())),
        Field::Emoji => Datum::optional_text(content.emoji.as_deref()),
        Field::Picture => file(AttachmentKind::Picture),
        Field::Video => file(AttachmentKind::Video),
        Field::Audio => file(AttachmentKind::Audio),
        Field::Document => file(AttachmentKind::Document),
        _ => Datum::None,
    }
}

fn flow_field<'a>(flow: &'a Flow, field: Field) -> Datum<'a> {
    match field {
        Field::Id => Datum::Integer(flow.id.get()),
        Field::Kind => Datum::FlowKind(flow.kind),
        Field::Title => Datum::text(&flow.title),
        Field::Info => Datum::text(&flow.info),
        Field::Owner => Datum::optional_id(flow.owner.map(UserId::get)),
        Field::CreatedAt => Datum::Time(flow.created_at),
        Field::ChangedAt => Datum::Time(flow.changed_at),
        _ => Datum::None,
    }
}

fn summary_field<'a>(summary: &'a FlowSummary, field: Field, viewer: Option<UserId>) -> Datum<'a> {
    match field {
        Field::Members => Datum::List(List::Users(&summary.members)),
        Field::Last => match &summary.last {
            Some(message) => Datum::Object(Source::Message(message)),
            None => Datum::None,
        },
        Field::First => Datum::optional_id(summary.first.map(|id| id.get())),
        Field::Name => Datum::Text(name_for(summary, viewer, |user| &user.username)),
        Field::NameByLogin => Datum::Text(name_for(summary, viewer, |user| &user.login)),
        Field::Others => {
            let others = summary.members.iter().filter(|member| Some(member.id) != viewer);
            Datum::List(List::Picked(others.map(Source::User).collect()))
        }
        Field::Business => Datum::Flag(summary.has_business()),
        _ => flow_field(&summary.flow, field),
    }
}

fn new_flow_field<'a>(
    flow: &'a Flow,
    members: &'a [UserSummary],
    field: Field,
    viewer: Option<UserId>,
) -> Datum<'a> {
    let others = || members.iter().filter(|member| Some(member.id) != viewer);
    let other = if flow.kind == FlowKind::Chat { others().next() } else { None };
    match (field, other) {
        (Field::Name, Some(other)) => Datum::text(&other.username),
        (Field::NameByLogin, Some(other)) => Datum::text(&other.login),
        (Field::Name | Field::NameByLogin, None) => Datum::text(&flow.title),
        (Field::Members, _) => Datum::List(List::Authors(members)),
        (Field::Others, _) => Datum::List(List::Picked(others().map(Source::Author).collect())),
        _ => flow_field(flow, field),
    }
}

/// The name of a flow for a viewer: a response from a wire without identities does not show which
/// member is the viewer, and names all.
fn name_for<'a>(
    summary: &'a FlowSummary,
    viewer: Option<UserId>,
    name_of: impl Fn(&'a User) -> &'a str,
) -> Cow<'a, str> {
    match viewer {
        Some(viewer) => Cow::Borrowed(summary.title_for(viewer, name_of)),
        None if summary.flow.title.is_empty() => {
            let names: Vec<_> = summary.members.iter().map(name_of).collect();
            Cow::Owned(names.join(", "))
        }
        None => Cow::Borrowed(&summary.flow.title),
    }
}

fn user_field<'a>(user: &'a User, field: Field) -> Datum<'a> {
    match field {
        Field::Id => Datum::Integer(user.id.get()),
        Field::Login => Datum::text(&user.login),
        Field::Username => Datum::text(&user.username),
        Field::Name => Datum::text(&user.name),
        Field::Email => Datum::optional_text(user.email.as_deref()),
        Field::Phone => Datum::optional_text(user.phone.as_deref()),
        Field::Bio => Datum::text(&user.bio),
        Field::Avatar => Datum::optional_text(user.avatar.as_deref()),
        Field::Bot => Datum::Flag(user.bot),
        Field::Admin => Datum::Flag(user.admin),
        Field::Business => Datum::Flag(user.business),
        Field::CreatedAt => Datum::Time(user.created_at),
        _ => Datum::None,
    }
}

fn author_field<'a>(author: &'a UserSummary, field: Field) -> Datum<'a> {
    match field {
        Field::Id => Datum::Integer(author.id.get()),
        Field::Login => Datum::text(&author.login),
        Field::Username => Datum::text(&author.username),
        Field::Name => Datum::text(&author.name),
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

fn command_field<'a>(command: &'a Command, field: Field) -> Datum<'a> {
    let number = |number: u32| Datum::Integer(i64::from(number));
    match (command, field) {
        (Command::Register(new), Field::Login) => {
            Datum::optional_text(new.login.as_deref().or(new.email.as_deref()))
        }
        (Command::Register(new), Field::Password) => Datum::text(new.password.expose()),
        (Command::Register(new), Field::Username) => Datum::optional_text(new.username.as_deref()),
        (Command::Register(new), Field::Email) => Datum::optional_text(new.email.as_deref()),
        (Command::Register(new), Field::Phone) => Datum::optional_text(new.phone.as_deref()),
        (Command::Register(new), Field::Bot) => Datum::Flag(new.bot),
        (Command::Register(new), Field::Bio) => Datum::optional_text(new.bio.as_deref()),
        (Command::Register(new), Field::Avatar) => Datum::optional_text(new.avatar.as_deref()),
        (Command::Register(new), Field::Profile) => Datum::Flag(new.profile),
        (Command::Register(new), Field::Grant) => grant(new.grant),
        (Command::Login { identifier, .. }, Field::Identifier) => Datum::text(identifier.as_str()),
        (Command::Login { password, .. }, Field::Password) => Datum::text(password.expose()),
        (Command::Login { grant: kind, .. }, Field::Grant) => grant(*kind),
        (Command::Refresh { token } | Command::ResetPassword { token, .. }, Field::Token) => {
            Datum::text(token.expose())
        }
        (Command::ResetPassword { password, .. }, Field::Password) => {
            Datum::text(password.expose())
        }
        (Command::Logout { login }, Field::Login) => Datum::optional_text(login.as_deref()),
        (Command::Recover { identifier }, Field::Known) => Datum::Object(Source::Known(identifier)),
        (Command::DeleteAccount { user, .. }, Field::User) => {
            Datum::optional_id(user.map(UserId::get))
        }
        (Command::DeleteAccount { login, .. }, Field::Login) => Datum::text(login),
        (Command::DeleteAccount { password, .. }, Field::Password) => {
            Datum::text(password.expose())
        }
        (Command::CreateProfile(profile), Field::Username) => Datum::text(&profile.username),
        (Command::CreateProfile(profile), Field::Name) => Datum::text(&profile.name),
        (Command::CreateProfile(profile), Field::Bio) => Datum::text(&profile.bio),
        (Command::GetUser { user }, Field::Who) => Datum::Object(Source::Reference(user)),
        (Command::SearchUsers { query, .. }, Field::Query) => Datum::text(query),
        (Command::SearchUsers { limit, .. }, Field::Limit) => number(*limit),
        (Command::OpenChat { with }, Field::With) => Datum::Object(Source::Reference(with)),
        (Command::CreateFlow(new), Field::Kind) => Datum::FlowKind(new.kind),
        (Command::CreateFlow(new), Field::Title) => Datum::text(&new.title),
        (Command::CreateFlow(new), Field::Info) => Datum::text(&new.info),
        (Command::CreateFlow(new), Field::Members) => Datum::List(List::UserIds(&new.members)),
        (Command::CreateFlow(new), Field::Key) => Datum::optional_text(new.key.as_deref()),
        (
            Command::DeleteFlow { flow, .. }
            | Command::GetFlow { flow, .. }
            | Command::AddMembers { flow, .. }
            | Command::RemoveMembers { flow, .. }
            | Command::History { flow, .. }
            | Command::ShowTyping { flow, .. },
            Field::Flow,
        ) => Datum::Integer(flow.get()),
        (
            Command::DeleteFlow { kinds: filter, .. }
            | Command::GetFlow { kinds: filter, .. }
            | Command::History { kinds: filter, .. },
            Field::Kinds,
        ) => kinds(*filter),
        (Command::GetFlow { members, .. } | Command::ListFlows { members, .. }, Field::Members) => {
            Datum::Flag(*members)
        }
        (
            Command::AddMembers { users, .. } | Command::RemoveMembers { users, .. },
            Field::Users,
        ) => Datum::List(List::UserIds(users)),
        (Command::ListFlows { limit, .. }, Field::Limit) => limit.map_or(Datum::None, number),
        (Command::ListFlows { offset, .. }, Field::Offset) => number(*offset),
        (Command::Send(new), Field::Flow) => Datum::Integer(new.flow.get()),
        (Command::Send(new), Field::Kinds) => kinds(new.kinds),
        (Command::Send(new), Field::Key) => Datum::optional_text(new.key.as_deref()),
        (Command::Send(new), _) => content_field(&new.content, field),
        (Command::Edit { message, .. }, Field::Message) => Datum::Integer(message.get()),
        (
            Command::Edit { flow, .. }
            | Command::Delete { flow, .. }
            | Command::GetChanges { flow, .. },
            Field::Flow,
        ) => Datum::optional_id(flow.map(|flow| flow.get())),
        (Command::Edit { text, .. }, Field::Text) => Datum::text(text),
        (Command::Delete { messages, .. }, Field::Messages) => {
            Datum::List(List::MessageIds(messages))
        }
        (Command::Delete { all_or_none, .. }, Field::AllOrNone) => Datum::Flag(*all_or_none),
        (Command::History { range, .. }, Field::Window) => Datum::Word(match range {
            HistoryRange::All => "all",
            HistoryRange::Unread => "unread",
            HistoryRange::Newest { .. } => "newest",
        }),
        (Command::History { range: HistoryRange::Newest { limit, .. }, .. }, Field::Limit) => {
            number(*limit)
        }
        (Command::History { range: HistoryRange::Newest { offset, .. }, .. }, Field::Offset) => {
            number(*offset)
        }
        (Command::History { mark_read, .. }, Field::MarkRead) => Datum::Flag(*mark_read),
        (Command::GetChanges { since, .. }, Field::Since) => Datum::Time(*since),
        (Command::GetChanges { limit, .. }, Field::Limit) => number(*limit),
        (Command::ShowTyping { active, .. }, Field::Active) => Datum::Flag(*active),
        _ => Datum::None,
    }
}

fn answer_field<'a>(answer: &'a Answer, field: Field, viewer: Option<UserId>) -> Datum<'a> {
    match (answer, field) {
        (Answer::Granted(grant), Field::User) => match &grant.user {
            Some(user) => Datum::Object(Source::User(user)),
            None => Datum::None,
        },
        (Answer::Granted(grant), _) => match (&grant.tokens, field) {
            (Tokens::Token(token), Field::Token) => Datum::text(token.expose()),
            (Tokens::Pair { access, .. }, Field::Access) => Datum::text(access.expose()),
            (Tokens::Pair { refresh, .. }, Field::Refresh) => Datum::text(refresh.expose()),
            _ => Datum::None,
        },
        (Answer::AccountDeleted { user }, Field::User) => Datum::Integer(user.get()),
        (Answer::User(user), _) => user_field(user, field),
        (Answer::Users(users), Field::Users) => Datum::List(List::Users(users)),
        (
            Answer::ChatOpened { flow, .. }
            | Answer::FlowCreated { flow, .. }
            | Answer::FlowDeleted { flow }
            | Answer::MembersAdded { flow, .. }
            | Answer::MembersRemoved { flow, .. },
            Field::Flow,
        ) => Datum::Integer(flow.get()),
        (Answer::ChatOpened { with: Some(with), .. }, Field::With) => {
            Datum::Object(Source::Author(with))
        }
        (Answer::ChatOpened { created, .. }, Field::Created) => Datum::Flag(*created),
        (Answer::FlowCreated { title, .. }, Field::Title) => Datum::text(title),
        (Answer::Flow(summary), _) => summary_field(summary, field, viewer),
        (
            Answer::MembersAdded { users, .. } | Answer::MembersRemoved { users, .. },
            Field::Users,
        ) => Datum::List(List::UserIds(users)),
        (Answer::Flows(flows), Field::Flows) => Datum::List(List::Summaries(flows)),
        (Answer::Sent { message: Some(message), .. }, Field::Message) => {
            Datum::Object(Source::Message(message))
        }
        (Answer::Sent { repeated, .. }, Field::Repeated) => Datum::Flag(*repeated),
        (Answer::Edited(message), _) => message_field(message, field),
        (Answer::Deleted { deleted, .. }, Field::Messages) => {
            Datum::List(List::MessageIds(deleted))
        }
        (Answer::Deleted { left, .. }, Field::Left) => Datum::List(List::MessageIds(left)),
        (Answer::History(page), Field::Flow) => Datum::Integer(page.flow.get()),
        (Answer::History(page), Field::Messages) => Datum::List(List::Messages(&page.messages)),
        (Answer::History(page), Field::Newest) => Datum::List(List::Newest(&page.messages)),
        (Answer::Changes(changes), Field::Messages) => {
            Datum::List(List::Messages(&changes.messages))
        }
        (Answer::Changes(changes), Field::Flows) => Datum::List(List::Summaries(&changes.flows)),
        (Answer::Changes(changes), Field::User) => match &changes.user {
            Some(user) => Datum::Object(Source::User(user)),
            None => Datum::None,
        },
        (Answer::Changes(changes), Field::Until) => Datum::Time(changes.until),
        (Answer::Changes(changes), Field::More) => Datum::Flag(changes.more),
        _ => Datum::None,
    }
}

fn event_field<'a>(event: &'a Event, field: Field, viewer: Option<UserId>) -> Datum<'a> {
    match (&event.kind, field) {
        (EventKind::Posted(message) | EventKind::Edited(message), Field::Message) => {
            Datum::Object(Source::Message(message))
        }
        (EventKind::FlowCreated { flow, members }, Field::Flow) => {
            Datum::Object(Source::NewFlow(flow, members))
        }
        (EventKind::FlowCreated { members, .. }, Field::Members) => {
            Datum::List(List::Authors(members))
        }
        (EventKind::FlowCreated { members, .. }, Field::With) => {
            match members.iter().find(|member| Some(member.id) != viewer) {
                Some(other) => Datum::Object(Source::Author(other)),
                None => Datum::None,
            }
        }
        (EventKind::Deleted { messages, .. }, Field::Messages) => {
            Datum::List(List::Deleted(messages))
        }
        (EventKind::Deleted { by, .. } | EventKind::FlowDeleted { by, .. }, Field::By) => {
            Datum::Integer(by.get())
        }
        (EventKind::MembersAdded { users, .. }, Field::Users) => Datum::List(List::Authors(users)),
        (EventKind::MembersRemoved { users, .. }, Field::Users) => {
            Datum::List(List::UserIds(users))
        }
        (EventKind::Typing { user, .. }, Field::User) => Datum::Object(Source::Author(user)),
        (EventKind::Typing { active, .. }, Field::Active) => Datum::Flag(*active),
        (_, Field::Flow) => Datum::optional_id(event.flow().map(|flow| flow.get())),
        _ => Datum::None,
    }
}
