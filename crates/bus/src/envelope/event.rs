//! Kinds of events.

use super::flow::Flow;
use super::message::Message;
use super::user::UserSummary;
use serde::{Deserialize, Serialize};
use tolmach_domain as domain;
use tolmach_domain::{EventKind, InvalidId};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind<'a> {
    #[serde(borrow)]
    Posted(Message<'a>),
    #[serde(borrow)]
    Edited(Message<'a>),
    Deleted {
        flow: i64,
        by: i64,
        /// Ids and versions.
        messages: Vec<(i64, i64)>,
    },
    FlowCreated {
        #[serde(borrow)]
        flow: Flow<'a>,
        #[serde(borrow)]
        members: Vec<UserSummary<'a>>,
    },
    FlowDeleted {
        flow: i64,
        by: i64,
    },
    MembersAdded {
        flow: i64,
        #[serde(borrow)]
        users: Vec<UserSummary<'a>>,
        version: i64,
    },
    MembersRemoved {
        flow: i64,
        users: Vec<i64>,
    },
    Typing {
        flow: i64,
        #[serde(borrow)]
        user: UserSummary<'a>,
        active: bool,
    },
    SessionsEnded {
        user: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<i64>,
    },
}

impl<'a> From<&'a EventKind> for Kind<'a> {
    fn from(kind: &'a EventKind) -> Self {
        match kind {
            EventKind::Posted(message) => Self::Posted(message.into()),
            EventKind::Edited(message) => Self::Edited(message.into()),
            EventKind::Deleted { flow, by, messages } => Self::Deleted {
                flow: flow.get(),
                by: by.get(),
                messages: messages
                    .iter()
                    .map(|(message, version)| (message.get(), version.0))
                    .collect(),
            },
            EventKind::FlowCreated { flow, members } => {
                Self::FlowCreated { flow: flow.into(), members: user_summaries(members) }
            }
            EventKind::FlowDeleted { flow, by } => {
                Self::FlowDeleted { flow: flow.get(), by: by.get() }
            }
            EventKind::MembersAdded { flow, users, version } => Self::MembersAdded {
                flow: flow.get(),
                users: user_summaries(users),
                version: version.0,
            },
            EventKind::MembersRemoved { flow, users } => Self::MembersRemoved {
                flow: flow.get(),
                users: users.iter().map(|user| user.get()).collect(),
            },
            EventKind::Typing { flow, user, active } => {
                Self::Typing { flow: flow.get(), user: user.into(), active: *active }
            }
            EventKind::SessionsEnded { user, session } => Self::SessionsEnded {
                user: user.get(),
                session: session.map(domain::SessionId::get),
            },
        }
    }
}

impl TryFrom<Kind<'_>> for EventKind {
    type Error = InvalidId;

    fn try_from(kind: Kind<'_>) -> Result<Self, InvalidId> {
        Ok(match kind {
            Kind::Posted(message) => Self::Posted(message.try_into()?),
            Kind::Edited(message) => Self::Edited(message.try_into()?),
            Kind::Deleted { flow, by, messages } => {
                let messages = messages
                    .into_iter()
                    .map(|(message, version)| Ok((message.try_into()?, domain::Version(version))));
                Self::Deleted {
                    flow: flow.try_into()?,
                    by: by.try_into()?,
                    messages: messages.collect::<Result<_, InvalidId>>()?,
                }
            }
            Kind::FlowCreated { flow, members } => {
                Self::FlowCreated { flow: flow.try_into()?, members: convert(members)? }
            }
            Kind::FlowDeleted { flow, by } => {
                Self::FlowDeleted { flow: flow.try_into()?, by: by.try_into()? }
            }
            Kind::MembersAdded { flow, users, version } => Self::MembersAdded {
                flow: flow.try_into()?,
                users: convert(users)?,
                version: domain::Version(version),
            },
            Kind::MembersRemoved { flow, users } => {
                Self::MembersRemoved { flow: flow.try_into()?, users: convert(users)? }
            }
            Kind::Typing { flow, user, active } => {
                Self::Typing { flow: flow.try_into()?, user: user.try_into()?, active }
            }
            Kind::SessionsEnded { user, session } => Self::SessionsEnded {
                user: user.try_into()?,
                session: session.map(TryInto::try_into).transpose()?,
            },
        })
    }
}

/// Converts all values, or returns the first error.
fn convert<Wire, T: TryFrom<Wire, Error = InvalidId>>(
    values: Vec<Wire>,
) -> Result<Vec<T>, InvalidId> {
    values.into_iter().map(T::try_from).collect()
}

fn user_summaries(users: &[domain::UserSummary]) -> Vec<UserSummary<'_>> {
    users.iter().map(UserSummary::from).collect()
}
