//! Messages, deleted ones too.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) flow_id: i64,
    pub(crate) author_id: i64,
    pub(crate) content_type: String,
    pub(crate) text: String,
    /// A JSON list of [`Attached`]; null if nothing is attached.
    pub(crate) attachments: Option<String>,
    pub(crate) emoji: Option<String>,
    pub(crate) reply_to: Option<i64>,
    pub(crate) posted: i64,
    pub(crate) version: i64,
    pub(crate) posted_at: i64,
    pub(crate) edited_at: Option<i64>,
    pub(crate) deleted_at: Option<i64>,
    pub(crate) changed_at: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// An attached file as the `attachments` column holds it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Attached<'a> {
    pub(crate) kind: AttachedKind,
    pub(crate) data: std::borrow::Cow<'a, str>,
}

/// The kinds of attached file as the `attachments` column names them.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AttachedKind {
    Picture,
    Video,
    Audio,
    Document,
}
