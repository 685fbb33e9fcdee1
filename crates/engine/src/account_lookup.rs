//! The account that an identifier names.

use crate::names::normalized_login;
use crate::ports::{Account, AccountKey, Store, StoreError};

/// The account that an identifier names as it was typed; if there is none, in the form in which new
/// logins are stored. Logins that are older than that form are found as typed.
pub(crate) async fn find_account(
    store: &dyn Store,
    key: AccountKey<'_>,
) -> Result<Option<Account>, StoreError> {
    let found = store.account(key).await?;
    let (AccountKey::Login(typed) | AccountKey::Either(typed)) = key else { return Ok(found) };
    match normalized_login(typed).filter(|_| found.is_none()) {
        Some(login) => store.account(AccountKey::Login(&login)).await,
        None => Ok(found),
    }
}
