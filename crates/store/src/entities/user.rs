//! Accounts, deleted ones too.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) login: String,
    /// The case-folded login: unique, also after the account is deleted.
    #[sea_orm(unique)]
    pub(crate) login_key: String,
    pub(crate) username: String,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    /// The case-folded address: unique.
    #[sea_orm(unique)]
    pub(crate) email_key: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) bio: String,
    pub(crate) photo_key: Option<String>,
    pub(crate) photo_type: Option<String>,
    pub(crate) bot: bool,
    pub(crate) admin: bool,
    pub(crate) business: bool,
    pub(crate) profile: bool,
    pub(crate) password_hash: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) changed_at: i64,
    pub(crate) deleted_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
