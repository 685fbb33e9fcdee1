//! The places of values in the frames: protocols/sndmsg/SPEC.md, section "Frames".

use tolmach_dialect::{Condition, FieldRole, FieldRule, Sender};

/// The frames whose `id` is that of a message.
const OF_MESSAGES: Condition = Condition::Value("type", &["DELETE_MSG", "EDIT_MSG"]);

/// The rules of both sides.
pub(crate) const FIELDS: &[FieldRule] = &[
    FieldRule::body("type", FieldRole::Word),
    FieldRule::body("room_id", FieldRole::Flow),
    FieldRule::body("id", FieldRole::Message).when(OF_MESSAGES),
    FieldRule::body("id", FieldRole::Flow),
    FieldRule::body("message", FieldRole::Text),
    FieldRule::body("msg_type", FieldRole::Word),
    FieldRule::body("new_msg", FieldRole::Text),
    FieldRule::body("customer", FieldRole::Name),
    FieldRule::body("user", FieldRole::Name),
    FieldRule::body("login", FieldRole::Name).from(Sender::Client),
    FieldRule::body("pass", FieldRole::Secret).from(Sender::Client),
    FieldRule::body("username", FieldRole::Name).from(Sender::Client),
    FieldRule::body("read", FieldRole::Word).from(Sender::Client),
    FieldRule::body("status", FieldRole::Word).from(Sender::Server),
    FieldRule::body("detail", FieldRole::Word).from(Sender::Server),
    FieldRule::body("message_id", FieldRole::Message).from(Sender::Server),
    FieldRule::body("date", FieldRole::Time).from(Sender::Server),
    FieldRule::body("sender", FieldRole::Name).from(Sender::Server),
    FieldRule::body("dialogs", FieldRole::Name).from(Sender::Server),
    FieldRule::body("first_massage_id", FieldRole::Message).from(Sender::Server),
];
