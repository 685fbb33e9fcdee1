//! The names of tables and columns of a Django project.

use super::error::SourceError;
use std::collections::BTreeMap;

/// Tables and columns by their keys, with the names that they have by default; an empty name is a
/// column or table that is not there.
const DEFAULTS: [(&str, &str); 31] = [
    ("user", "accounts_user"),
    ("user.id", "id"),
    ("user.login", "email"),
    ("user.username", ""),
    ("user.name", "fullname"),
    ("user.email", "email"),
    ("user.phone", "phone"),
    ("user.password", "password"),
    ("user.active", "is_active"),
    ("user.admin", "is_staff"),
    ("user.created_at", "date_joined"),
    ("room", "chat_room"),
    ("room.id", "id"),
    ("room.title", ""),
    ("room.owner", ""),
    ("room.created_at", ""),
    ("participant", "chat_room_participants"),
    ("participant.id", "id"),
    ("participant.room", "room_id"),
    ("participant.user", "user_id"),
    ("message", "chat_message"),
    ("message.id", "id"),
    ("message.room", "room_id"),
    ("message.user", "user_id"),
    ("message.text", "text"),
    ("message.created_at", "created_at"),
    ("message.edited_at", ""),
    ("attachment", "chat_messageattachment"),
    ("attachment.id", "id"),
    ("attachment.message", "message_id"),
    ("attachment.file", "file"),
];

/// The keys of tables and columns without which nothing can be read.
const REQUIRED: [&str; 14] = [
    "user",
    "user.id",
    "user.login",
    "room",
    "room.id",
    "participant",
    "participant.id",
    "participant.room",
    "participant.user",
    "message",
    "message.id",
    "message.room",
    "message.user",
    "message.created_at",
];

/// The keys of columns without which attachments cannot be read.
const REQUIRED_OF_ATTACHMENTS: [&str; 2] = ["attachment.id", "attachment.message"];

/// The names of one project.
pub(super) struct Names(BTreeMap<&'static str, String>);

impl Names {
    /// The names by default, but for those that are told by their keys.
    pub(super) fn new(told: &[(String, String)]) -> Result<Self, SourceError> {
        let mut names: BTreeMap<_, _> =
            DEFAULTS.iter().map(|(key, name)| (*key, (*name).to_owned())).collect();
        for (key, name) in told {
            let Some(known) = names.get_mut(key.as_str()) else {
                let known: Vec<&str> = DEFAULTS.iter().map(|(key, _)| *key).collect();
                let known = known.join(", ");
                return Err(SourceError::UnknownName { key: key.clone(), known });
            };
            known.clone_from(name);
        }
        let names = Self(names);
        let of_attachments = names.get("attachment").map(|_| REQUIRED_OF_ATTACHMENTS);
        let mut required = REQUIRED.into_iter().chain(of_attachments.into_iter().flatten());
        match required.find(|key| names.get(key).is_none()) {
            Some(key) => Err(SourceError::NoName(key)),
            None => Ok(names),
        }
    }

    /// The quoted name of a table or column; `None` if it is not there.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        let name = self.0.get(key).filter(|name| !name.is_empty())?;
        Some(format!("\"{}\"", name.replace('"', "\"\"")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(key: &str, name: &str) -> Result<Names, SourceError> {
        Names::new(&[(key.to_owned(), name.to_owned())])
    }

    #[test]
    fn names_are_told_by_key_and_quoted() {
        let names = told("user", "auth\" user").unwrap();
        assert_eq!(names.get("user").as_deref(), Some("\"auth\"\" user\""));
        assert_eq!(names.get("room").as_deref(), Some("\"chat_room\""));
        assert_eq!(told("attachment", "").unwrap().get("attachment"), None);
    }

    #[test]
    fn what_is_needed_has_a_name() {
        for key in REQUIRED.iter().chain(&REQUIRED_OF_ATTACHMENTS) {
            let error = told(key, "").err().unwrap().to_string();
            assert!(error.starts_with(key), "{key}: {error}");
        }
        let needed = REQUIRED.iter().chain(&REQUIRED_OF_ATTACHMENTS);
        let needed: Vec<&str> = needed.copied().collect();
        for (key, _) in DEFAULTS.iter().filter(|(key, _)| !needed.contains(key)) {
            assert_eq!(told(key, "").unwrap().get(key), None);
        }
        let none = |key: &str| (key.to_owned(), String::new());
        assert!(Names::new(&[none("attachment"), none("attachment.id")]).is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused_with_those_that_there_are() {
        let error = told("user.colour", "x").err().unwrap().to_string();
        assert!(error.contains("\"user.colour\"") && error.contains("user.login"), "{error}");
    }
}
