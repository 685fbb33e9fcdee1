//! The places of values in the frames: protocols/mode/SPEC.md, section "Frames".

use tolmach_dialect::{Condition, FieldRole, FieldRule, Sender};

/// The rules of both sides.
pub(crate) const FIELDS: &[FieldRule] = &[
    FieldRule::body("mode", FieldRole::Word),
    FieldRule::body("timestamp", FieldRole::Time),
    FieldRule::body("token", FieldRole::Token),
    FieldRule::body("chat_id", FieldRole::Flow),
    FieldRule::body("username", FieldRole::Name).from(Sender::Client),
    FieldRule::body("password", FieldRole::Secret).from(Sender::Client),
    FieldRule::body("email", FieldRole::Contact).from(Sender::Client),
    FieldRule::body("known_data", FieldRole::Contact)
        .from(Sender::Client)
        .when(Condition::Value("known_data_type", &["email"])),
    FieldRule::body("known_data", FieldRole::Name).from(Sender::Client),
    FieldRule::body("known_data_type", FieldRole::Word).from(Sender::Client),
    FieldRule::body("content", FieldRole::Text).from(Sender::Client),
    FieldRule::body("content_type", FieldRole::Word).from(Sender::Client),
    FieldRule::body("status", FieldRole::Word).from(Sender::Server),
    FieldRule::body("error_msg", FieldRole::Word).from(Sender::Server),
    FieldRule::body("chats/chat_id", FieldRole::Flow).from(Sender::Server),
    FieldRule::body("chats/chat_name", FieldRole::Name).from(Sender::Server),
    FieldRule::body("chats/chat_type", FieldRole::Word).from(Sender::Server),
    FieldRule::body("messages/message_id", FieldRole::Message).from(Sender::Server),
    FieldRule::body("messages/from_id", FieldRole::User).from(Sender::Server),
    FieldRule::body("messages/from_name", FieldRole::Name).from(Sender::Server),
    FieldRule::body("messages/content", FieldRole::Text).from(Sender::Server),
    FieldRule::body("messages/content_type", FieldRole::Word).from(Sender::Server),
    FieldRule::body("messages/content_time", FieldRole::Time).from(Sender::Server),
];
