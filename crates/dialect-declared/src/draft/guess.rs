//! Guesses of a request's meaning from its name and its keys.

use super::place::Place;
use crate::syntax::{Kind, Value};

/// The meaning that a request may have.
pub(super) struct Meaning {
    /// The command.
    pub(super) command: &'static str,
    /// Parts of names, in lowercase letters and digits.
    words: &'static [&'static str],
    /// The fields that its frames may have.
    pub(super) fields: &'static [Field],
}

/// A field of a command.
pub(super) struct Field {
    /// The keys that it may stand under, in lowercase letters and digits.
    keys: &'static [&'static str],
    /// The path of its hole.
    pub(super) hole: &'static str,
    form: Form,
    /// True if the command has no meaning without it.
    required: bool,
}

/// The forms of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Id,
    Number,
    /// A list of ids, or the one id of such a list.
    Ids,
}

const PASSWORD: &[&str] = &["password", "pass", "passwd", "pwd", "pw", "secret"];
const LOGIN: &[&str] =
    &["login", "username", "user", "name", "nick", "nickname", "person", "account", "handle"];
const FLOW: &[&str] = &[
    "room",
    "roomid",
    "roompk",
    "chat",
    "chatid",
    "flow",
    "flowid",
    "channel",
    "channelid",
    "group",
    "groupid",
    "conversation",
    "conversationid",
    "dialog",
    "dialogid",
    "thread",
    "to",
    "chan",
    "chanid",
];
const TEXT: &[&str] =
    &["text", "message", "content", "body", "msg", "msgtext", "newmsg", "editedtext", "line"];
const MESSAGE: &[&str] = &["messageid", "msgid", "message", "msg", "id", "line"];

const fn field(keys: &'static [&'static str], hole: &'static str, form: Form) -> Field {
    Field { keys, hole, form, required: true }
}

const fn optional(keys: &'static [&'static str], hole: &'static str, form: Form) -> Field {
    Field { keys, hole, form, required: false }
}

/// The meanings, the most special first.
static MEANINGS: [Meaning; 12] = [
    Meaning {
        command: "register",
        words: &["regist", "signup", "join", "newuser", "createuser", "reg"],
        fields: &[
            field(LOGIN, "login", Form::Text),
            field(PASSWORD, "password", Form::Text),
            optional(&["email", "mail"], "email", Form::Text),
        ],
    },
    Meaning {
        command: "login",
        words: &["login", "auth", "signin", "enter", "logon"],
        fields: &[field(LOGIN, "identifier", Form::Text), field(PASSWORD, "password", Form::Text)],
    },
    Meaning {
        command: "logout",
        words: &["logout", "signout", "logoff", "bye", "quit"],
        fields: &[],
    },
    Meaning {
        command: "edit",
        words: &["edit", "change"],
        fields: &[field(MESSAGE, "message", Form::Id), field(TEXT, "text", Form::Text)],
    },
    Meaning {
        command: "delete",
        words: &["delet", "remove"],
        fields: &[field(
            &["messages", "messageids", "messagesids", "messageid", "msgid", "message", "lines"],
            "messages",
            Form::Ids,
        )],
    },
    Meaning {
        command: "search_users",
        words: &["search", "find"],
        fields: &[field(
            &["query", "q", "search", "user", "username", "name"],
            "query",
            Form::Text,
        )],
    },
    Meaning {
        command: "history",
        words: &["history", "messages", "readmsg", "lines", "backlog"],
        fields: &[
            field(FLOW, "flow", Form::Id),
            optional(&["limit", "count", "max", "last", "size"], "limit", Form::Number),
        ],
    },
    Meaning {
        command: "open_chat",
        words: &["chat", "meet", "createroom", "openroom", "dialog", "dm", "direct", "private"],
        fields: &[field(
            &["with", "person", "user", "username", "customer", "receiver", "peer", "contact"],
            "with",
            Form::Text,
        )],
    },
    Meaning {
        command: "list_flows",
        words: &[
            "rooms",
            "chats",
            "chans",
            "flows",
            "dialogs",
            "channels",
            "conversations",
            "allflow",
        ],
        fields: &[],
    },
    Meaning {
        command: "show_typing",
        words: &["typing"],
        fields: &[field(FLOW, "flow", Form::Id)],
    },
    Meaning {
        command: "send",
        words: &["send", "snd", "say", "post", "message", "msg", "publish", "write"],
        fields: &[field(FLOW, "flow", Form::Id), field(TEXT, "text", Form::Text)],
    },
    // Integers for names tell nothing: its keys do.
    Meaning {
        command: "send",
        words: &[""],
        fields: &[field(FLOW, "flow", Form::Id), field(TEXT, "text", Form::Text)],
    },
];

/// The meaning of a request of this name, whose frames are this place.
pub(super) fn meaning(name: &Value<'_>, frames: &Place) -> Option<&'static Meaning> {
    let name = match name {
        Value::Text(name) => plain(name),
        _ => String::new(),
    };
    let fits = |meaning: &&Meaning| {
        meaning.words.iter().any(|word| name.contains(word))
            && meaning.fields.iter().filter(|field| field.required).all(|field| {
                let mut path = Vec::new();
                has(frames, &mut path, field)
            })
    };
    MEANINGS.iter().find(fits)
}

/// True if a field stands in every frame of a place.
fn has(place: &Place, path: &mut Vec<String>, field: &Field) -> bool {
    place.members.iter().any(|(key, member)| {
        path.push(key.clone());
        let found = member.count == place.objects
            && (field.hole(path, member).is_some()
                || member.is_object() && has(member, path, field));
        path.pop();
        found
    })
}

impl Field {
    /// The pattern of this field at a place, if it is one for it.
    pub(super) fn hole(&self, path: &[String], place: &Place) -> Option<String> {
        if !self.keys.contains(&key(path).as_str()) {
            return None;
        }
        match (self.form, place.kind()?) {
            (Form::Text, Kind::Text) if self.hole == "with" => Some("<with.login>".to_owned()),
            (Form::Text, Kind::Text) => Some(format!("<{}>", self.hole)),
            (Form::Text, Kind::Integer) if self.hole == "with" => Some("<with.id>".to_owned()),
            (Form::Number, Kind::Integer) => Some(format!("<{} = 50>", self.hole)),
            (Form::Id, _) => id(self.hole, place),
            (Form::Ids, Kind::List) => {
                Some(format!("[each {}: {}]", self.hole, id("it", place.items.as_deref()?)?))
            }
            (Form::Ids, _) => Some(format!("one {}: {}", self.hole, id("it", place)?)),
            _ => None,
        }
    }
}

/// The hole of an id, in the form of the values of a place.
pub(super) fn id(path: &str, place: &Place) -> Option<String> {
    let all = |test: fn(&str) -> bool| place.texts().next().is_some() && place.texts().all(test);
    match place.kind()? {
        Kind::Integer if !place.scalars.contains(&Value::Huge) => Some(format!("<{path}>")),
        Kind::Text if all(|text| text.bytes().all(|byte| byte.is_ascii_digit())) => {
            Some(format!("<{path}: decimal>"))
        }
        Kind::Text if all(|text| text.len() == 32 && is_hex(text)) => {
            Some(format!("<{path}: hex>"))
        }
        Kind::Text if all(|text| text.len() == 36 && is_hex(&text.replace('-', ""))) => {
            Some(format!("<{path}: uuid>"))
        }
        _ => None,
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The hole of a time, in the form of the values of a place.
pub(super) fn time(path: &str, place: &Place) -> Option<String> {
    let form = match place.scalars.first()? {
        Value::Integer(number) if *number > 100_000_000_000 => "millis",
        Value::Integer(number) if *number > 100_000_000 => "seconds",
        Value::Float(number) if *number > 100_000_000.0 => "float_seconds",
        Value::Text(text) => match (text.len(), text.as_bytes().get(10)?) {
            (19, b' ') => "plain",
            (20.., b'T') => match text
                .split_once('.')
                .map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count())
            {
                0 => "rfc3339(0)",
                3 => "rfc3339(3)",
                _ => "rfc3339(6)",
            },
            _ => return None,
        },
        _ => return None,
    };
    Some(format!("<{path}: {form}>"))
}

/// The key of a place, in lowercase letters and digits. What is only an id is of its parent.
pub(super) fn key(path: &[String]) -> String {
    let mut keys = path.iter().rev().map(|key| plain(key));
    let last = keys.next().unwrap_or_default();
    match (last.as_str(), keys.next()) {
        ("id" | "uuid" | "pk", Some(parent)) if !["data", "payload"].contains(&&*parent) => parent,
        _ => last,
    }
}

/// A text in lowercase letters and digits.
fn plain(text: &str) -> String {
    text.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
