//! Flows.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tolmach_domain as domain;
use tolmach_domain::{InvalidId, Timestamp};

#[derive(Serialize, Deserialize)]
pub(super) struct Flow<'a> {
    id: i64,
    kind: FlowKind,
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    info: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    photo: Option<Photo<'a>>,
    version: i64,
    created_at: i64,
    changed_at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FlowKind {
    Chat,
    Group,
    Channel,
}

#[derive(Serialize, Deserialize)]
struct Photo<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    media_type: Cow<'a, str>,
}

impl<'a> From<&'a domain::Flow> for Flow<'a> {
    fn from(flow: &'a domain::Flow) -> Self {
        let photo = |photo: &'a domain::PhotoKey| Photo {
            key: photo.key.as_str().into(),
            media_type: photo.media_type.as_str().into(),
        };
        Self {
            id: flow.id.get(),
            kind: flow.kind.into(),
            title: flow.title.as_str().into(),
            info: flow.info.as_str().into(),
            owner: flow.owner.map(domain::UserId::get),
            photo: flow.photo.as_ref().map(photo),
            version: flow.version.0,
            created_at: flow.created_at.micros(),
            changed_at: flow.changed_at.micros(),
        }
    }
}

impl TryFrom<Flow<'_>> for domain::Flow {
    type Error = InvalidId;

    fn try_from(flow: Flow<'_>) -> Result<Self, InvalidId> {
        let photo = |photo: Photo<'_>| domain::PhotoKey {
            key: photo.key.into_owned(),
            media_type: photo.media_type.into_owned(),
        };
        Ok(Self {
            id: flow.id.try_into()?,
            kind: flow.kind.into(),
            title: flow.title.into_owned(),
            info: flow.info.into_owned(),
            owner: flow.owner.map(TryInto::try_into).transpose()?,
            photo: flow.photo.map(photo),
            version: domain::Version(flow.version),
            created_at: Timestamp::from_micros(flow.created_at),
            changed_at: Timestamp::from_micros(flow.changed_at),
        })
    }
}

impl From<domain::FlowKind> for FlowKind {
    fn from(kind: domain::FlowKind) -> Self {
        match kind {
            domain::FlowKind::Chat => Self::Chat,
            domain::FlowKind::Group => Self::Group,
            domain::FlowKind::Channel => Self::Channel,
        }
    }
}

impl From<FlowKind> for domain::FlowKind {
    fn from(kind: FlowKind) -> Self {
        match kind {
            FlowKind::Chat => Self::Chat,
            FlowKind::Group => Self::Group,
            FlowKind::Channel => Self::Channel,
        }
    }
}
