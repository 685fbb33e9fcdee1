//! The places of values in a dialect's frames, and their roles: for tools that record, replay or
//! compare frames without understanding them.

use serde::{Deserialize, Serialize};

/// The place of a value in the frames of a dialect, and its role.
///
/// Of several rules that fit one value, the first applies. A value that no rule fits is unknown:
/// recorders treat it like a secret.
///
/// ```
/// use tolmach_dialect::{Condition, FieldRole, FieldRule, Part, Place, Sender};
///
/// static RULE: FieldRule = FieldRule::body("user/id", FieldRole::User)
///     .from(Sender::Client)
///     .when(Condition::Value("type", &["get_user"]));
/// assert_eq!(RULE.place, Place::Body("user/id"));
/// assert_eq!(RULE.part, Part::Whole);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldRule {
    /// The side whose frames it is about; `None` for both.
    pub sender: Option<Sender>,
    /// The place in the frame.
    pub place: Place,
    /// The frames in which it applies.
    pub condition: Condition,
    /// The part of the value that has the role.
    pub part: Part,
    /// The role.
    pub role: FieldRole,
}

/// The sides of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// A place in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the value of a message, a raw value or a JSON body: the keys that lead to it, divided by
    /// `/`.
    ///
    /// - The items of a list have the place of the list, however deeply lists are nested: `ids` is
    ///   the place of each number of `{"ids":[1,[2]]}`. The whole frame is the place ``.
    /// - `[2]` is the item with this index from 0, of a list whose items have places of their own.
    /// - `*` is any key.
    /// - A body of several parts, `multipart/form-data`, is an object with their names as keys;
    ///   a part that is JSON goes on within.
    Body(&'static str),
    /// The segment that stands at `{}` in the path of an HTTP request, such as `/api/user/{}`. A
    /// `*` stands for any other segment, and `**` at the end for any rest. All other segments are
    /// words of the wire; a path without `{}` has only such.
    Path(&'static str),
    /// A parameter of the query of an HTTP request.
    Query(&'static str),
    /// A header of an HTTP request or response, by its name in lower case. Recorders need no rules
    /// for those that HTTP itself gives credentials to.
    Header(&'static str),
}

/// A condition of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Every frame.
    Always,
    /// The value at this place of the body is one of these texts. Numbers, `true`, `false` and
    /// `null` are compared as JSON writes them.
    Value(&'static str, &'static [&'static str]),
    /// The frame is an HTTP request with this method and path, or answers it, or belongs to a
    /// WebSocket that was opened there. Without a method, any. Of the path, `*` stands for any
    /// segment, and `**` at the end for any rest.
    Route(Option<&'static str>, &'static str),
}

/// A part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Of a text: what stands between these two, which the text begins and ends with.
    Between(&'static str, &'static str),
}

/// The roles of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldRole {
    /// A password, or another secret that a person knows.
    Secret,
    /// A secret that the server gives out: a token of a session, a refresh token, a code.
    Token,
    /// A text that a person wrote, a title, a description, an encoded picture.
    Text,
    /// A login, or a name of a person.
    Name,
    /// An e-mail address or a telephone number.
    Contact,
    /// The id of a user.
    User,
    /// The id of a flow.
    Flow,
    /// The id of a message.
    Message,
    /// Another id that the server makes, or one of several kinds.
    OtherId,
    /// A time, or a duration.
    Time,
    /// A number or text by which a client knows the response to a request, or a request again. The
    /// server gives it back.
    Correlation,
    /// A word or number of the wire, or a text of the server, that tells nothing about anybody.
    Word,
}

impl FieldRule {
    /// A value in the body, of both sides, in every frame.
    pub const fn body(path: &'static str, role: FieldRole) -> Self {
        Self::at(Place::Body(path), role)
    }

    /// A value at a place, of both sides, in every frame.
    pub const fn at(place: Place, role: FieldRole) -> Self {
        Self { sender: None, place, condition: Condition::Always, part: Part::Whole, role }
    }

    /// In frames of one side only.
    pub const fn from(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// Under a condition.
    pub const fn when(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// Of a text, what stands between two others.
    pub const fn between(mut self, before: &'static str, after: &'static str) -> Self {
        self.part = Part::Between(before, after);
        self
    }
}
