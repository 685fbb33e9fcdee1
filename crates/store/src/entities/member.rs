//! Members of flows.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "member")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) flow_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) user_id: i64,
    /// The read mark: the version up to which the member has read.
    pub(crate) read_version: i64,
    /// True if the member created the flow, opened the chat or posted.
    pub(crate) acted: bool,
    /// The commit time of joining.
    pub(crate) joined_at: i64,
    /// True if the member has the business tariff.
    pub(crate) business: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
