//! The places of values in the frames: protocols/action/SPEC.md, section "Frames".

use tolmach_dialect::{Condition, FieldRole, FieldRule, Place, Sender};

/// The frames whose data is a message.
const MESSAGE: Condition = Condition::Value("action", &["create_message"]);

/// The rules of both sides.
pub(crate) const FIELDS: &[FieldRule] = &[
    FieldRule::at(Place::Header("authorization"), FieldRole::Token).between("Bearer ", ""),
    FieldRule::body("action", FieldRole::Word),
    FieldRule::body("request_id", FieldRole::Correlation),
    FieldRule::body("room_pk", FieldRole::Flow).from(Sender::Client),
    FieldRule::body("msg_text", FieldRole::Text).from(Sender::Client),
    FieldRule::body("msg_id", FieldRole::Message).from(Sender::Client),
    FieldRule::body("edited_msg_text", FieldRole::Text).from(Sender::Client),
    FieldRule::body("msg_id_list", FieldRole::Message).from(Sender::Client),
    FieldRule::body("errors", FieldRole::Word).from(Sender::Server),
    FieldRule::body("response_status", FieldRole::Word).from(Sender::Server),
    FieldRule::body("data", FieldRole::Word).from(Sender::Server),
    // A message.
    FieldRule::body("data/id", FieldRole::Message).from(Sender::Server).when(MESSAGE),
    FieldRule::body("data/text", FieldRole::Text).from(Sender::Server),
    FieldRule::body("data/user/id", FieldRole::User).from(Sender::Server),
    FieldRule::body("data/user/email", FieldRole::Contact).from(Sender::Server),
    FieldRule::body("data/user/phone", FieldRole::Contact).from(Sender::Server),
    FieldRule::body("data/created_at", FieldRole::Time).from(Sender::Server),
    FieldRule::body("data/room/pk", FieldRole::Flow).from(Sender::Server),
    FieldRule::body("data/room/id", FieldRole::Flow).from(Sender::Server),
    FieldRule::body("data/room/has_business", FieldRole::Word).from(Sender::Server),
    FieldRule::body("data/room/participants/id", FieldRole::User).from(Sender::Server),
    FieldRule::body("data/room/participants/fullname", FieldRole::Name).from(Sender::Server),
    FieldRule::body("data/room/participants/user/id", FieldRole::User).from(Sender::Server),
    FieldRule::body("data/room/participants/user/email", FieldRole::Contact).from(Sender::Server),
    FieldRule::body("data/room/participants/user/phone", FieldRole::Contact).from(Sender::Server),
    // A room, or a list of rooms.
    FieldRule::body("data/id", FieldRole::Flow).from(Sender::Server),
    FieldRule::body("data/pk", FieldRole::Flow).from(Sender::Server),
    FieldRule::body("data/has_business", FieldRole::Word).from(Sender::Server),
    FieldRule::body("data/participants/id", FieldRole::User).from(Sender::Server),
    FieldRule::body("data/participants/fullname", FieldRole::Name).from(Sender::Server),
    FieldRule::body("data/participants/user/id", FieldRole::User).from(Sender::Server),
    FieldRule::body("data/participants/user/email", FieldRole::Contact).from(Sender::Server),
    FieldRule::body("data/participants/user/phone", FieldRole::Contact).from(Sender::Server),
    FieldRule::body("data/last_message", FieldRole::Word).from(Sender::Server),
    FieldRule::body("data/last_message/id", FieldRole::Message).from(Sender::Server),
    FieldRule::body("data/last_message/text", FieldRole::Text).from(Sender::Server),
    FieldRule::body("data/last_message/user/id", FieldRole::User).from(Sender::Server),
    FieldRule::body("data/last_message/user/email", FieldRole::Contact).from(Sender::Server),
    FieldRule::body("data/last_message/user/phone", FieldRole::Contact).from(Sender::Server),
    FieldRule::body("data/last_message/created_at", FieldRole::Time).from(Sender::Server),
    // An edit, a deletion, a departure.
    FieldRule::body("data/room_id", FieldRole::Flow).from(Sender::Server),
    FieldRule::body("data/message_id", FieldRole::Message).from(Sender::Server),
    FieldRule::body("data/message_text", FieldRole::Text).from(Sender::Server),
    FieldRule::body("data/messages_ids", FieldRole::Message).from(Sender::Server),
    FieldRule::body("data/response", FieldRole::Flow)
        .from(Sender::Server)
        .between("leaved room ", " successfully!"),
];
