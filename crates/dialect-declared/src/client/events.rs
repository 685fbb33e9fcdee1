//! Events, of the fields that were found in a server's frame.

use super::answers::{edited, me};
use super::objects::{Reading, author, flow, message, records};
use crate::model::{Record, RecordError};
use tolmach_dialect::known_messages::MessageDefaults;
use tolmach_dialect::placeholders::placeholder_user_id;
use tolmach_domain::{EventKind, Fault, MessageId, UserSummary, Version};

/// The event with this name.
pub(super) fn event(
    name: &str,
    mut record: Record,
    reading: Reading<'_>,
) -> Result<EventKind, RecordError> {
    let fields = &mut record;
    Ok(match name {
        "posted" => {
            let found = fields.record("message").unwrap_or_default();
            EventKind::Posted(message(found, MessageDefaults::unknown(reading.now))?)
        }
        "edited" => {
            let found = fields.record("message").unwrap_or_default();
            let id: MessageId = found.clone().id("id", Fault::NoSuchMessage)?;
            EventKind::Edited(edited(found, reading.known.get(id), reading.now)?)
        }
        "deleted" => {
            let ids = fields.ids::<MessageId>("messages", &Fault::NoSuchMessage)?;
            let ids = ids.unwrap_or_default();
            let first = ids.first().ok_or(RecordError::Missing("messages"))?;
            let known = reading.known.get(*first);
            EventKind::Deleted {
                flow: fields.optional_id("flow", Fault::NoSuchFlow)?.unwrap_or(known.flow),
                by: fields.optional_id("by", Fault::NoSuchUser)?.unwrap_or(known.author.id),
                messages: ids.into_iter().map(|id| (id, Version::default())).collect(),
            }
        }
        "flow_created" => {
            let mut created = fields.record("flow").unwrap_or_default();
            let with = fields.record("with").map(author).transpose()?;
            let members = match (records(fields, "members"), with) {
                (Some(members), _) => members.into_iter().map(author).collect::<Result<_, _>>()?,
                (None, Some(with)) => vec![with, me(reading)],
                (None, None) => Vec::<UserSummary>::new(),
            };
            EventKind::FlowCreated { flow: flow(&mut created, reading.now)?, members }
        }
        "flow_deleted" => EventKind::FlowDeleted {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            by: fields
                .optional_id("by", Fault::NoSuchUser)?
                .unwrap_or_else(|| placeholder_user_id("")),
        },
        "members_added" => {
            let users = records(fields, "users").unwrap_or_default().into_iter();
            EventKind::MembersAdded {
                flow: fields.id("flow", Fault::NoSuchFlow)?,
                users: users.map(author).collect::<Result<_, _>>()?,
                version: Version::default(),
            }
        }
        "members_removed" => EventKind::MembersRemoved {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            users: fields.ids("users", &Fault::NoSuchUser)?.unwrap_or_default(),
        },
        "typing" => EventKind::Typing {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            user: author(fields.record("user").unwrap_or_default())?,
            active: fields.flag("active").unwrap_or(true),
        },
        _ => return Err(RecordError::Missing("event")),
    })
}
