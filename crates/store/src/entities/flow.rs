//! Flows. A deleted one stays until its messages are removed.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "flow")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) kind: Kind,
    pub(crate) title: String,
    pub(crate) info: String,
    pub(crate) owner_id: i64,
    pub(crate) photo_key: Option<String>,
    pub(crate) photo_type: Option<String>,
    /// The ids of a chat's members as `lower:higher`: unique, so that a pair has one chat.
    #[sea_orm(unique)]
    pub(crate) pair: Option<String>,
    pub(crate) version: i64,
    pub(crate) created_at: i64,
    pub(crate) changed_at: i64,
    pub(crate) deleted_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The kind of a flow as its column names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))")]
pub(crate) enum Kind {
    #[sea_orm(string_value = "chat")]
    Chat,
    #[sea_orm(string_value = "group")]
    Group,
    #[sea_orm(string_value = "channel")]
    Channel,
}
