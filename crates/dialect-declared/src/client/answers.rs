//! Answers, of the fields that were found in a server's response.

use super::objects::{Reading, message, records, summary, user};
use crate::model::{Found, Operation, Record, RecordError};
use tolmach_dialect::known_messages::MessageDefaults;
use tolmach_dialect::placeholders::{placeholder_flow_id, placeholder_user_id};
use tolmach_domain::{
    Answer, Changes, Command, Fault, FlowId, FlowKind, FlowKindFilter, Grant, GrantKind, Message,
    MessagePage, Secret, Timestamp, Tokens, User, UserId, UserSummary,
};

/// The answer to `asked`, which the server has read as `said`.
pub(super) fn answer(
    operation: Operation,
    mut record: Record,
    (asked, said): (&Command, &Command),
    reading: Reading<'_>,
) -> Result<Answer, RecordError> {
    let fields = &mut record;
    Ok(match (asked, said) {
        (Command::Register(asked), Command::Register(said)) => {
            granted(fields, asked.grant, said.grant)?
        }
        (Command::Login { grant: asked, .. }, Command::Login { grant: said, .. }) => {
            granted(fields, *asked, *said)?
        }
        (Command::Refresh { .. }, _) => granted(fields, GrantKind::Pair, GrantKind::Pair)?,
        (Command::Logout { .. }, _) => Answer::LoggedOut,
        (Command::Recover { .. }, _) => Answer::RecoveryAccepted,
        (Command::ResetPassword { .. }, _) => Answer::PasswordReset,
        (Command::DeleteAccount { user, .. }, _) => Answer::AccountDeleted {
            user: match fields.optional_id("user", Fault::NoSuchUser)?.or(*user) {
                Some(user) => user,
                None => reading.me.id.unwrap_or_else(|| me(reading).id),
            },
        },
        (Command::CreateProfile(_), _) => Answer::ProfileCreated,
        (Command::GetUser { .. }, _) => Answer::User(Box::new(user(record)?)),
        (Command::SearchUsers { limit, .. }, _) => {
            let users = records(fields, "users").unwrap_or_default().into_iter();
            Answer::Users(users.take(length(*limit)).map(user).collect::<Result<_, _>>()?)
        }
        (Command::OpenChat { .. }, _) => Answer::ChatOpened {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            with: fields.record("with").map(super::objects::author).transpose()?,
            created: fields.flag("created").unwrap_or_default(),
        },
        (Command::CreateFlow(new), _) => Answer::FlowCreated {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            title: fields.optional_text("title").unwrap_or_else(|| new.title.clone()),
        },
        (Command::DeleteFlow { flow, .. }, _) => Answer::FlowDeleted {
            flow: fields.optional_id("flow", Fault::NoSuchFlow)?.unwrap_or(*flow),
        },
        (Command::GetFlow { .. }, _) => Answer::Flow(Box::new(summary(record)?)),
        (Command::AddMembers { flow, users }, _) => {
            let (flow, users) = members(fields, *flow, users)?;
            Answer::MembersAdded { flow, users }
        }
        (Command::RemoveMembers { flow, users }, _) => {
            let (flow, users) = members(fields, *flow, users)?;
            Answer::MembersRemoved { flow, users }
        }
        (
            Command::ListFlows { limit, offset, .. },
            Command::ListFlows { offset: said_offset, .. },
        ) => {
            let flows = records(fields, "flows").unwrap_or_default().into_iter();
            let skipped = length(offset.saturating_sub(*said_offset));
            let part = flows.skip(skipped).take(limit.map_or(usize::MAX, length));
            Answer::Flows(part.map(summary).collect::<Result<_, _>>()?)
        }
        (Command::Send(asked), Command::Send(said)) => {
            let defaults = MessageDefaults {
                flow: said.flow,
                flow_kind: kind_of(asked.kinds),
                author: me(reading),
                content_type: said.content.content_type.clone(),
                posted_at: reading.now,
            };
            let sent = fields.record("message").filter(|sent| sent.get(&["id"]).is_some());
            let sent = sent.map(|sent| message(sent, defaults)).transpose()?;
            let repeated = fields.flag("repeated").unwrap_or_default();
            Answer::Sent { message: sent.map(Box::new), repeated }
        }
        (Command::Edit { message: id, flow, text }, _) => {
            if fields.get(&["id"]).is_none() {
                fields.put(&["id"], Found::Integer(id.get()));
            }
            if fields.get(&["text"]).is_none() {
                fields.put(&["text"], Found::Text(text.clone()));
            }
            let mut defaults = reading.known.get(*id);
            if defaults.flow == placeholder_flow_id() {
                // The user's own message, posted on another connection.
                defaults.flow = flow.unwrap_or(defaults.flow);
                defaults.author = me(reading);
            }
            Answer::Edited(Box::new(edited(record, defaults, reading.now)?))
        }
        (Command::Delete { messages, .. }, _) => Answer::Deleted {
            deleted: fields
                .ids("messages", &Fault::NoSuchMessage)?
                .unwrap_or_else(|| messages.clone()),
            left: fields.ids("left", &Fault::NoSuchMessage)?.unwrap_or_default(),
        },
        (Command::History { flow, kinds, range, .. }, Command::History { range: said, .. }) => {
            let found = fields.optional_id("flow", Fault::NoSuchFlow)?.unwrap_or(*flow);
            let defaults = MessageDefaults {
                flow: found,
                flow_kind: kind_of(*kinds),
                ..MessageDefaults::unknown(reading.now)
            };
            let mut messages = messages(fields, &defaults)?;
            if said == &tolmach_domain::HistoryRange::All {
                range.cut(&mut messages);
            } else if let tolmach_domain::HistoryRange::Newest { limit, .. } = *range {
                let range = tolmach_domain::HistoryRange::Newest { limit, offset: 0 };
                range.cut(&mut messages);
            }
            Answer::History(Box::new(MessagePage::new(found, messages)))
        }
        (Command::GetChanges { since, flow, limit }, _) => {
            changes(fields, (*since, *flow, *limit), reading)?
        }
        (Command::ShowTyping { .. }, _) => Answer::TypingShown,
        _ => return Err(RecordError::Missing(operation.name())),
    })
}

/// A message as it was edited.
pub(super) fn edited(
    record: Record,
    defaults: MessageDefaults,
    now: Timestamp,
) -> Result<Message, RecordError> {
    let mut message = message(record, defaults)?;
    if message.edited_at.is_none() {
        message.edited_at = Some(now);
        message.changed_at = now;
    }
    Ok(message)
}

/// The kind of a flow that a request was granted for: the server refuses another one than meant.
pub(super) fn kind_of(kinds: FlowKindFilter) -> FlowKind {
    if kinds == FlowKindFilter::Shared { FlowKind::Group } else { FlowKind::Chat }
}

/// The user of the connection, as far as it is known.
pub(super) fn me(reading: Reading<'_>) -> UserSummary {
    let login = reading.me.login.as_deref().unwrap_or_default();
    let id = reading.me.id.unwrap_or_else(|| placeholder_user_id(login));
    UserSummary::named(id, login)
}

fn granted(fields: &mut Record, asked: GrantKind, said: GrantKind) -> Result<Answer, RecordError> {
    let user = fields.record("user").filter(|user| *user != Record::default());
    let user: Option<User> = user.map(user_of).transpose()?;
    let mut secret = |name| fields.text(name).map(Secret::new);
    let tokens = match (said, asked) {
        (GrantKind::Nothing, _) | (_, GrantKind::Nothing) => Tokens::Nothing,
        (GrantKind::Connection, _) | (_, GrantKind::Connection) => Tokens::Connection,
        (GrantKind::Token, _) => Tokens::Token(secret("token")?),
        (GrantKind::Pair, GrantKind::Token) => Tokens::Token(secret("access")?),
        (GrantKind::Pair, GrantKind::Pair) => {
            Tokens::Pair { access: secret("access")?, refresh: secret("refresh")? }
        }
    };
    Ok(Answer::Granted(Box::new(Grant { user: user.map(Box::new), tokens })))
}

fn user_of(record: Record) -> Result<User, RecordError> {
    user(record)
}

fn members(
    fields: &mut Record,
    flow: FlowId,
    users: &[UserId],
) -> Result<(FlowId, Vec<UserId>), RecordError> {
    let found = fields.optional_id("flow", Fault::NoSuchFlow)?.unwrap_or(flow);
    let changed = fields.ids("users", &Fault::NoSuchUser)?;
    Ok((found, changed.unwrap_or_else(|| users.to_vec())))
}

fn messages(fields: &mut Record, defaults: &MessageDefaults) -> Result<Vec<Message>, RecordError> {
    let rows = records(fields, "messages").or_else(|| {
        // The newest first.
        let mut rows = records(fields, "newest")?;
        rows.reverse();
        Some(rows)
    });
    let rows = rows.unwrap_or_default().into_iter();
    rows.map(|row| message(row, defaults.clone())).collect()
}

fn changes(
    fields: &mut Record,
    (since, flow, limit): (Timestamp, Option<FlowId>, u32),
    reading: Reading<'_>,
) -> Result<Answer, RecordError> {
    let mut messages = messages(fields, &MessageDefaults::unknown(reading.now))?;
    messages.retain(|message| flow.is_none_or(|flow| message.flow == flow));
    messages.truncate(length(limit));
    let flows = records(fields, "flows").unwrap_or_default().into_iter();
    let flows = flows.map(summary).collect::<Result<Vec<_>, _>>()?;
    let user = own_record(fields, reading).map(user).transpose()?;
    let last = messages.last().map_or(since, |message| message.changed_at);
    Ok(Answer::Changes(Box::new(Changes {
        messages,
        flows,
        user: user.map(Box::new),
        until: fields.time("until").unwrap_or(last),
        more: fields.flag("more").unwrap_or_default(),
    })))
}

/// The user's own record, also of several.
fn own_record(fields: &mut Record, reading: Reading<'_>) -> Option<Record> {
    match fields.take("user")? {
        Found::Record(record) => Some(record),
        Found::List(users) => {
            let id = reading.me.id?.get();
            users.into_iter().find_map(|user| match user {
                Found::Record(record) if record.get(&["id"]) == Some(&Found::Integer(id)) => {
                    Some(record)
                }
                _ => None,
            })
        }
        _ => None,
    }
}

fn length(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
