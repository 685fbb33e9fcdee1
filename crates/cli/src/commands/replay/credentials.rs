//! The passwords of accounts that the target has already, and tokens that it was given elsewhere.

use crate::error::UsageError;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// The values that take the place of captured ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Passwords by login.
    pub(crate) passwords: HashMap<String, String>,
    /// Captured tokens, each with the one to send.
    pub(crate) tokens: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Account { login: String, password: String },
    Token { captured: String, token: String },
}

/// Reads lines `{"login":…,"password":…}` and `{"captured":…,"token":…}`.
pub(crate) fn read(path: &Path) -> Result<Credentials, UsageError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| UsageError::File { path: path.to_owned(), source })?;
    let mut credentials = Credentials::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line).map_err(|source| {
            let place = format!("{}:{}", path.display(), index + 1);
            UsageError::Credentials { place, source }
        })?;
        match line {
            Line::Account { login, password } => {
                credentials.passwords.insert(login, password);
            }
            Line::Token { captured, token } => credentials.tokens.push((captured, token)),
        }
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_account_or_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.jsonl");
        let account = r#"{"login":"ann","password":"p"}"#;
        let token = r#"{"captured":"pseudonym","token":"t"}"#;
        std::fs::write(&path, format!("{account}\n\n{token}\n")).unwrap();
        let read_back = read(&path).unwrap();
        assert_eq!(read_back.passwords["ann"], "p");
        assert_eq!(read_back.tokens, [("pseudonym".to_owned(), "t".to_owned())]);
        for wrong in [r#"{"login":"ann"}"#, r#"{"login":"ann","password":"p","x":1}"#, "[]"] {
            std::fs::write(&path, wrong).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("credentials.jsonl:1"), "{error}");
        }
    }
}
