//! The places of values in requests, responses and frames: protocols/bearer/SPEC.md.

use tolmach_dialect::{Condition, FieldRole, FieldRule, Place, Sender};

/// The frames about a message.
const MESSAGE: Condition = Condition::Value("type", &["message", "last_message"]);
/// The profile of a user.
const USER: Condition = Condition::Route(None, "/api/v1/user/**");
/// The history of a chat.
const HISTORY: Condition = Condition::Route(None, "/api/v1/chat/*/messages");
/// A chat is opened with a user, by the id of the user.
const OPENING: Condition = Condition::Route(Some("POST"), "/api/v1/chat/*");

/// A value of a request, also of one of its form's parts.
const fn said(path: &'static str, role: FieldRole) -> FieldRule {
    FieldRule::body(path, role).from(Sender::Client)
}

/// A value of a response or frame of the server.
const fn told(path: &'static str, role: FieldRole) -> FieldRule {
    FieldRule::body(path, role).from(Sender::Server)
}

/// The rules of both sides.
pub(crate) const FIELDS: &[FieldRule] = &[
    FieldRule::at(Place::Header("authorization"), FieldRole::Token).between("Bearer ", ""),
    FieldRule::at(Place::Header("sec-websocket-protocol"), FieldRole::Token)
        .from(Sender::Client)
        .between("bearer, ", ""),
    FieldRule::at(Place::Header("idempotency-key"), FieldRole::Correlation),
    FieldRule::at(Place::Path("/api/v1/user/{}/**"), FieldRole::User),
    FieldRule::at(Place::Path("/api/v1/chat/{}"), FieldRole::User).when(OPENING),
    FieldRule::at(Place::Path("/api/v1/chat/{}/**"), FieldRole::Flow),
    FieldRule::at(Place::Path("/api/v1/group/{}/**"), FieldRole::Flow),
    FieldRule::at(Place::Query("limit"), FieldRole::Word),
    FieldRule::at(Place::Query("offset"), FieldRole::Word),
    // Requests and frames of a client.
    said("email", FieldRole::Contact),
    said("number", FieldRole::Contact),
    said("username", FieldRole::Name),
    said("password", FieldRole::Secret),
    said("refresh_token", FieldRole::Token),
    said("users/id", FieldRole::User),
    said("users/name", FieldRole::Name),
    said("json/username", FieldRole::Name),
    said("json/name", FieldRole::Name),
    said("json/description", FieldRole::Text),
    said("json/users/id", FieldRole::User),
    said("json/users/name", FieldRole::Name),
    said("photo", FieldRole::Text),
    said("type", FieldRole::Word),
    said("text", FieldRole::Text),
    said("author/id", FieldRole::User),
    said("author/name", FieldRole::Name),
    // Responses.
    told("error", FieldRole::Word),
    told("status", FieldRole::Word),
    told("logout", FieldRole::Word),
    told("type", FieldRole::Word),
    told("access_token", FieldRole::Token),
    told("refresh_token", FieldRole::Token),
    told("id", FieldRole::Message).when(MESSAGE),
    told("id", FieldRole::Message).when(HISTORY),
    told("id", FieldRole::User).when(USER),
    told("id", FieldRole::Flow),
    told("name", FieldRole::Name),
    told("username", FieldRole::Name),
    told("description", FieldRole::Text),
    told("created_at", FieldRole::Time),
    told("from_id", FieldRole::User),
    told("chat/id", FieldRole::Flow),
    told("group/id", FieldRole::Flow),
    told("group/name", FieldRole::Name),
    told("users/id", FieldRole::User),
    told("users/name", FieldRole::Name),
    told("rooms/id", FieldRole::Flow),
    told("rooms/name", FieldRole::Name),
    told("rooms/type", FieldRole::Word),
    told("rooms/last_message", FieldRole::Word),
    told("rooms/last_message/id", FieldRole::Message),
    told("rooms/last_message/chat_id", FieldRole::Flow),
    told("rooms/last_message/type", FieldRole::Word),
    told("rooms/last_message/text", FieldRole::Text),
    told("rooms/last_message/author/id", FieldRole::User),
    told("rooms/last_message/author/name", FieldRole::Name),
    told("rooms/last_message/time", FieldRole::Time),
    // Frames of the server.
    told("chat_id", FieldRole::Flow),
    told("text", FieldRole::Text),
    told("author/id", FieldRole::User),
    told("author/name", FieldRole::Name),
    told("time", FieldRole::Time),
    told("messages/id", FieldRole::Message),
    told("messages/chat_id", FieldRole::Flow),
    told("messages/type", FieldRole::Word),
    told("messages/text", FieldRole::Text),
    told("messages/author/id", FieldRole::User),
    told("messages/author/name", FieldRole::Name),
    told("messages/time", FieldRole::Time),
];
