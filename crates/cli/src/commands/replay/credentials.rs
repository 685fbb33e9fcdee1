//! The passwords of accounts that the target has already.

use crate::error::UsageError;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    login: String,
    password: String,
}

/// Reads lines `{"login":…,"password":…}`.
pub(crate) fn read(path: &Path) -> Result<HashMap<String, String>, UsageError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| UsageError::File { path: path.to_owned(), source })?;
    let mut passwords = HashMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let account: Account = serde_json::from_str(line).map_err(|source| {
            let place = format!("{}:{}", path.display(), index + 1);
            UsageError::Credentials { place, source }
        })?;
        passwords.insert(account.login, account.password);
    }
    Ok(passwords)
}
