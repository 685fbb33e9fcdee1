//! Operations and fields in the words of people who make a product.

/// The act of a client that a command is. The phrase completes "a client can …".
pub(super) fn command(name: &str) -> Option<&'static str> {
    Some(match name {
        "register" => "sign up",
        "login" => "log in",
        "refresh" => "renew its session without a password",
        "logout" => "log out",
        "recover" => "ask for a link that sets a new password",
        "reset_password" => "set a new password by a link",
        "delete_account" => "delete its account",
        "create_profile" => "fill in its profile",
        "get_user" => "look up a user",
        "search_users" => "search for users",
        "get_photo" => "show the photo of a user or a conversation",
        "open_chat" => "open a chat with a user",
        "create_flow" => "create a group or a channel",
        "delete_flow" => "delete a conversation",
        "get_flow" => "look at one conversation",
        "add_members" => "add members to a conversation",
        "remove_members" => "remove members from a conversation, or leave it",
        "list_flows" => "list its conversations",
        "send" => "send a message",
        "edit" => "edit a message",
        "delete" => "delete a message",
        "history" => "read earlier messages",
        "get_changes" => "catch up with everything that changed since a time",
        "show_typing" => "show that its user is typing",
        "block" => "block a user",
        "unblock" => "end the block of a user",
        "list_blocked" => "list the blocked users",
        "administrator" => "act as an administrator",
        _ => return None,
    })
}

/// The commands by which a client has the same in another way: a bridge makes them too.
pub(super) fn other_ways(command: &str) -> &'static [&'static str] {
    match command {
        "history" => &["get_changes"],
        "get_changes" => &["history"],
        "get_flow" => &["list_flows"],
        _ => &[],
    }
}

/// A form of a command, as the title of a story names it.
pub(super) fn form(title: &str) -> &str {
    match title {
        "everything" => "files, an emoji and a reply in one message",
        title => title,
    }
}

/// The news that an event tells. The phrase completes "a user is told when …".
pub(super) fn event(name: &str) -> Option<&'static str> {
    Some(match name {
        "posted" => "a message arrives",
        "edited" => "a message is edited",
        "deleted" => "a message is deleted",
        "flow_created" => "a conversation is created",
        "flow_deleted" => "a conversation is deleted",
        "members_added" => "members are added to a conversation",
        "members_removed" => "members are removed from a conversation",
        "typing" => "another member is typing",
        "sessions_ended" => "the session has ended",
        _ => return None,
    })
}

/// Fields by the end of their paths; of several that fit, the first counts.
const FIELDS: [(&str, &str); 51] = [
    ("fault", "the reason of some refusals"),
    ("retry_after", "when to try again after too many requests"),
    ("author.id", "the author's id"),
    ("author.login", "the author's login"),
    ("author.username", "the author's display name"),
    ("author.name", "the author's full name"),
    ("members.id", "the members' ids"),
    ("members.login", "the members' logins"),
    ("members.username", "the members' display names"),
    ("members.name", "the members' full names"),
    ("members.email", "the members' e-mail addresses"),
    ("members.phone", "the members' telephone numbers"),
    ("members", "the members"),
    ("content.attachments", "attached files"),
    ("content.emoji", "the emoji"),
    ("content.reply_to", "the message that it replies to"),
    ("content.type", "the type of the content"),
    ("content.text", "the text as it was"),
    ("posted_at", "the exact time of a message"),
    ("edited_at", "the time of the edit"),
    ("deleted_at", "the time of the deletion"),
    ("flow_kind", "whether it is a chat, a group or a channel"),
    ("kinds", "which kind of conversation is meant"),
    ("kind", "whether it is a chat, a group or a channel"),
    ("range", "the part of the history that is asked for"),
    ("mark_read", "whether reading marks messages as read"),
    ("key", "the key that makes a repeated request harmless"),
    ("all_or_none", "deleting all messages or none"),
    ("messages", "some of the messages"),
    ("message", "the message as it was stored"),
    ("last", "the last message"),
    ("first", "the first message"),
    ("left", "which messages could not be deleted"),
    ("created_at", "the time of creation"),
    ("created", "whether it is new"),
    ("title", "the title"),
    ("info", "the description"),
    ("owner", "the owner"),
    ("photo", "the photo"),
    ("avatar", "the picture"),
    ("bio", "the description"),
    ("bot", "whether it is a program"),
    ("admin", "whether it is an administrator"),
    ("business", "the business tariff"),
    ("email", "the e-mail address"),
    ("phone", "the telephone number"),
    ("limit", "how many are asked for"),
    ("offset", "how many are passed over"),
    ("by", "who did it"),
    ("with", "the other member"),
    ("flow", "the conversation"),
];

/// A field in words, or by its path where there are none.
pub(super) fn field(path: &str) -> String {
    let plain = path.replace("[]", "");
    let found = FIELDS.iter().find(|(end, _)| {
        plain.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    let of_user = || match plain.rsplit('.').next() {
        Some("id") => Some("the id"),
        Some("login") => Some("the login"),
        Some("username") => Some("the display name"),
        Some("name") => Some("the full name"),
        Some("user") => Some("the user"),
        Some("users") => Some("the users"),
        _ => None,
    };
    found.map(|(_, words)| *words).or_else(of_user).map_or(plain.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect_kit::{operations, stories};

    #[test]
    fn every_operation_of_the_stories_has_words() {
        let faults = stories::all_faults();
        let is_fault = |name: &str| faults.iter().any(|fault| fault.name() == name);
        for name in operations().into_iter().filter(|name| !is_fault(name)) {
            assert!(command(name).is_some() || event(name).is_some(), "{name}");
        }
        assert!(command(stories::ADMINISTRATOR).is_some());
    }

    #[test]
    fn a_field_is_named_by_the_end_of_its_path() {
        for (path, expected) in [
            ("content.reply_to", "the message that it replies to"),
            ("messages[].author.id", "the author's id"),
            ("flows[].members[].email", "the members' e-mail addresses"),
            ("user.email", "the e-mail address"),
            ("messages", "some of the messages"),
            ("messages[].id", "the id"),
            ("something.unknown", "something.unknown"),
        ] {
            assert_eq!(field(path), expected, "{path}");
        }
    }
}
