//! action in the field: hakaton's revisions of 2024 and 2025, and dcrf-client.

use crate::peer::{Peer, claims, compiled, json};
use http::HeaderValue;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use serde_json::{Value, json};
use tolmach_dialect::{
    Correlation, Credentials, Dialect as _, Event, Frame, Handshake, Incoming, Request,
    Subscription, websocket_request,
};
use tolmach_dialect_kit::fixtures::{self, ANN, CHAT, GROUP, flow_id, message_id};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Content, EventKind, Fault, FlowKindFilter,
    HistoryRange, MessagePage, NewMessage, Origin,
};

const OF_2024_12: &str = "action-2024-12.toml";
const OF_2025_01: &str = "action-2025-01.toml";
const OF_2025_03: &str = "action-2025-03.toml";
const OF_2025_04: &str = "action-2025-04.toml";
const DCRF: &str = "action-dcrf.toml";

/// A handshake as browsers make it: no `Authorization`, the token as the last subprotocol.
pub(crate) fn handshake(path: &'static str, protocol: &str) -> Parts {
    let mut request = websocket_request(path);
    let protocols = format!("{protocol}, {}", ANN.token);
    let protocols = HeaderValue::try_from(protocols).expect("the token is ASCII");
    request.headers.insert(SEC_WEBSOCKET_PROTOCOL, protocols);
    request
}

/// A connection of Ann's whose handshake has been proven.
fn ann(file: &str) -> Peer {
    proven(Peer::at(file, &handshake("/ws/chat/", "chat")))
}

fn proven(mut peer: Peer) -> Peer {
    let requests = peer.initial_requests();
    let [request] = requests.as_slice() else { panic!("the token is proven by one request") };
    assert_eq!(request.credentials, Credentials::Bearer(ANN.secret()));
    let user = Answer::User(Box::new(fixtures::user(1)));
    assert!(peer.respond(request, Ok(user)).is_empty());
    peer
}

/// A connection of Ann's in the chat.
fn joined(file: &str) -> Peer {
    let mut ann = ann(file);
    let key = match file {
        OF_2025_03 | OF_2025_04 => "room_id",
        _ => "room_pk",
    };
    let join = match file {
        DCRF => wrapped(json!({"action": "join_room", "room_pk": 1})),
        _ => json!({"action": "join_room", key: 1, "request_id": 1_500_000}),
    };
    let joined = exchange(&mut ann, &join);
    assert_eq!(payload(&joined)["response_status"], 200, "{joined}");
    ann
}

/// A frame of dcrf-client.
fn wrapped(mut payload: Value) -> Value {
    payload["request_id"] = json!("033ba144-b034-41a7-80bc-788347181307");
    json!({"stream": "chat", "payload": payload})
}

fn payload(frame: &Value) -> &Value {
    frame.get("payload").unwrap_or(frame)
}

fn exchange(peer: &mut Peer, frame: &Value) -> Value {
    let answer = peer.exchange(&frame.to_string(), None);
    json(&answer.unwrap_or_else(|| panic!("{frame} is not answered")))
}

fn refused(peer: &mut Peer, frame: &Value, fault: Fault) -> (Value, Value) {
    let answer = peer.exchange(&frame.to_string(), Some(Err(fault))).expect("it is refused");
    let answer = json(&answer);
    assert_eq!(payload(&answer)["data"], Value::Null);
    let errors = payload(&answer)["errors"].clone();
    (payload(&answer)["response_status"].clone(), errors)
}

fn posted(flow: i64) -> Event {
    Event::new(fixtures::time(9), EventKind::Posted(fixtures::message(flow, 2)))
}

#[test]
fn a_token_of_the_handshake_is_proven_before_the_first_frame_and_claims_its_right() {
    let mut member = Peer::at(OF_2025_04, &handshake("/ws/chat/", "chat"));
    let request = member.initial_requests().remove(0);
    assert_eq!(request.authority, Authority::Member);
    assert_eq!(member.respond(&request, Err(Fault::Unauthenticated)), ["403"]);
    for path in ["/ws/admin-chat/", "/ws/admin-chat"] {
        let mut admin = Peer::at(OF_2025_04, &handshake(path, "admin-chat"));
        assert_eq!(admin.initial_requests()[0].authority, Authority::Administrator);
        let mut admin = proven(admin);
        let request = &admin.decode(r#"{"action":"get_rooms","page":1}"#).unwrap()[0];
        assert_eq!(request.authority, Authority::Administrator);
    }
}

#[test]
fn rooms_are_paged_and_a_full_page_is_the_last_until_there_is_one_more() {
    let get_rooms = |page: Value| json!({"action": "get_rooms", "page": page, "request_id": 7});
    let text = get_rooms(json!(2)).to_string();
    let command = ann(OF_2025_04).decode(&text).unwrap()[0].command.clone();
    // One more than the page has shows if there is a next one.
    assert_eq!(command, Command::ListFlows { limit: Some(101), offset: 100, members: true });
    for (count, total, next) in
        [(0, 100, Value::Null), (100, 200, Value::Null), (101, 201, json!(3))]
    {
        let flows = Answer::Flows(vec![fixtures::flow_summary(CHAT, true); count]);
        let answer = json(&ann(OF_2025_04).answers(&text, Ok(flows))[0]);
        let data = &answer["data"];
        assert_eq!(data["results"].as_array().unwrap().len(), count.min(100));
        assert_eq!((&data["count"], &data["next"]), (&json!(total), &next));
    }
    for page in [json!(-1), json!(0), json!("asf"), json!(1.5)] {
        let answer = exchange(&mut ann(OF_2025_04), &get_rooms(page.clone()));
        assert_eq!(answer["response_status"], 400, "{page}");
        assert_eq!(answer["request_id"], 7, "{page}");
    }
}

#[test]
fn a_room_has_interlocutors_without_oneself() {
    let mut ann = ann(OF_2025_04);
    let frame = json!({"action": "get_rooms", "page": 1, "request_id": 1_500_000});
    let rooms = exchange(&mut ann, &frame);
    let room = &rooms["data"]["results"][1];
    assert_eq!((&room["id"], &room["type"]), (&json!(1), &json!("M")));
    assert_eq!(room["interlocutors"].as_array().unwrap().len(), 1);
    let other = &room["interlocutors"][0];
    assert_eq!((&other["id"], &other["brand"]), (&json!(2), &Value::Null));
    let last = &room["last_message"];
    assert_eq!((&last["room"], &last["user"]), (&json!(1), &json!(2)));
    assert_eq!(last["created_at"], "2023-11-14T22:13:22.250000Z");
}

#[test]
fn a_room_is_joined_once_and_left_once() {
    let join = json!({"action": "join_room", "room_id": 1, "request_id": 1_500_000});
    let mut ann = ann(OF_2025_03);
    let answer = exchange(&mut ann, &join);
    assert_eq!(answer["data"], json!({"id": 1, "type": "M"}));
    assert_eq!(exchange(&mut ann, &join)["response_status"], 403);
    let leave = json!({"action": "leave_room", "request_id": 1_500_000});
    let left = exchange(&mut ann, &leave);
    assert_eq!(left["data"], json!({"response": "Leaved room 1 successfully!"}));
    assert_eq!(exchange(&mut ann, &leave)["response_status"], 403);
    assert_eq!(refused(&mut ann, &join, Fault::NoSuchFlow).0, 403);
}

#[test]
fn messages_are_paged_newest_first() {
    let frame = json!({"action": "get_room_messages", "page": 1, "request_id": 1_500_000});
    let mut ann = joined(OF_2025_04);
    let command = ann.decode(&frame.to_string()).unwrap()[0].command.clone();
    let range = HistoryRange::Newest { limit: 101, offset: 0 };
    assert!(matches!(command, Command::History { range: found, .. } if found == range));
    let answer = exchange(&mut ann, &frame);
    let ids: Vec<&Value> =
        answer["data"]["results"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [&json!(12), &json!(11)]);
    assert_eq!(answer["data"]["results"][0]["attachments"], json!([]));
    let empty = Answer::History(Box::new(MessagePage::new(flow_id(CHAT), Vec::new())));
    let answer = json(&ann.answers(&frame.to_string(), Ok(empty))[0]);
    assert_eq!(answer["data"], json!({"count": 0, "results": [], "next": null}));
    let outside = exchange(&mut self::ann(OF_2025_04), &frame);
    assert_eq!(outside["response_status"], 403);
}

#[test]
fn changes_are_answered_by_the_frame_of_their_event() {
    let mut ann = joined(OF_2025_04);
    let create = json!({"action": "create_message", "text": "test", "attachments_ids": [],
                        "request_id": 1_500_000});
    let answer = exchange(&mut ann, &create);
    assert_eq!(answer["response_status"], 201);
    assert_eq!(answer["request_id"], 1_500_000);
    let data = json!({"id": 13, "text": "test", "created_at": "2023-11-14T22:13:23.250000Z",
                      "user": 1, "room": 1, "attachments": []});
    assert_eq!(answer["data"], data);
    let edit = json!({"action": "edit_message", "msg_id": 13, "edited_text": "edited"});
    let edited = exchange(&mut ann, &edit);
    assert_eq!(edited["data"], json!({"room_id": 1, "id": 13, "text": "edited"}));
    let delete = json!({"action": "delete_messages", "messages_ids": [13, 11]});
    let deleted = exchange(&mut ann, &delete);
    assert_eq!(deleted["data"], json!({"room_id": 1, "messages_ids": [13, 11]}));

    // The same frame reaches others, with the author's request id; the author has it already.
    let sent = fixtures::posted(&ANN, flow_id(CHAT), tolmach_domain::Content::text("test"));
    let mut event = Event::new(fixtures::time(9), EventKind::Posted(sent));
    let client_tag = Some("1500000".into());
    event.origin = Some(Origin { connection: ConnectionId(1), dialect: "action", client_tag });
    assert!(ann.hears(&event).is_empty());
    if let Some(origin) = &mut event.origin {
        origin.connection = ConnectionId(2);
    }
    assert_eq!(json(&ann.hears(&event)[0]), answer);
    // The request id of another dialect is none of this wire.
    if let Some(origin) = &mut event.origin {
        origin.dialect = "mode";
    }
    assert_eq!(json(&ann.hears(&event)[0])["request_id"], Value::Null);
}

#[test]
fn messages_that_cannot_be_changed_are_404() {
    let mut ann = joined(OF_2025_04);
    let delete = json!({"action": "delete_messages", "messages_ids": [0, -1]});
    assert_eq!(exchange(&mut ann, &delete)["response_status"], 404);
    let edit = json!({"action": "edit_message", "msg_id": 12, "edited_text": "x"});
    assert_eq!(refused(&mut ann, &edit, Fault::NotAuthor).0, 404);
    let (status, errors) =
        refused(&mut ann, &edit, Fault::TooMany { retry_after: std::time::Duration::ZERO });
    assert_eq!((status, errors), (json!(429), json!(["Too many requests"])));
    // A fault without a row of its own is said in words.
    let (status, errors) = refused(&mut ann, &edit, Fault::WrongKind);
    assert_eq!((status, errors), (json!(400), json!(["this conversation is of another kind"])));
    let unknown = exchange(&mut ann, &json!({"action": "get_support_room", "request_id": 1}));
    assert_eq!(unknown["response_status"], 405);
    assert_eq!(unknown["errors"], json!(["Method \"get_support_room\" not allowed."]));
}

#[test]
fn every_participant_hears_from_2025_03_on_and_before_only_those_in_the_room() {
    for file in [OF_2025_03, OF_2025_04] {
        let mut ann = ann(file);
        assert_eq!(ann.subscription(), Subscription::AllFlows);
        assert_eq!(ann.hears(&posted(GROUP)).len(), 1, "{file}");
    }
    for file in [OF_2024_12, OF_2025_01, DCRF] {
        assert_eq!(ann(file).subscription(), Subscription::None);
        let mut ann = joined(file);
        assert_eq!(ann.subscription(), Subscription::Flow(flow_id(CHAT)));
        assert_eq!(ann.hears(&posted(CHAT)).len(), 1, "{file}");
        assert!(ann.hears(&posted(GROUP)).is_empty(), "{file}");
    }
}

#[test]
fn the_revision_of_2025_01_has_its_own_names() {
    let mut ann = joined(OF_2025_01);
    let create = json!({"action": "create_message", "msg_text": "test", "request_id": 1});
    let created = exchange(&mut ann, &create);
    assert_eq!(created["response_status"], 201);
    assert_eq!(created["data"].get("attachments"), None);
    let edit = json!({"action": "edit_message", "msg_id": 13, "edited_msg_text": "edited"});
    let edited = exchange(&mut ann, &edit);
    assert_eq!(edited["data"], json!({"room_id": 1, "message_id": 13, "message_text": "edited"}));
    let delete = json!({"action": "delete_messages", "msg_id_list": [13]});
    let deleted = exchange(&mut ann, &delete);
    assert_eq!(deleted["data"], json!({"room_id": 1, "messages_ids": [13]}));
}

#[test]
fn the_revision_of_2024_12_has_lists_and_400() {
    let mut ann = ann(OF_2024_12);
    let list = exchange(&mut ann, &json!({"action": "list", "request_id": 1}));
    assert_eq!(list["data"][1]["participants"], json!([1, 2]));
    let leave = json!({"action": "leave_room", "request_id": 1});
    let left = exchange(&mut ann, &leave);
    assert_eq!(left["response_status"], 400);
    assert_eq!(left["errors"], json!(["Action 'leave_room' not allowed. You are not in the room"]));
    let join = json!({"action": "join_room", "room_pk": 1, "request_id": 1});
    for _ in 0..2 {
        assert_eq!(exchange(&mut ann, &join)["response_status"], 200);
    }
    let read = exchange(&mut ann, &json!({"action": "get_room_messages", "request_id": 1}));
    assert_eq!(read["data"][0]["id"], 11);
    let room = exchange(&mut ann, &json!({"action": "current_room_info", "request_id": 1}));
    assert_eq!(room["data"]["id"], 1);
}

#[test]
fn dcrf_client_has_everything_in_its_payload() {
    let mut ann = ann(DCRF);
    let list = exchange(&mut ann, &wrapped(json!({"action": "list", "data": {}})));
    assert_eq!(list["stream"], "chat");
    let answer = payload(&list);
    assert_eq!(answer["request_id"], "033ba144-b034-41a7-80bc-788347181307");
    assert_eq!((&answer["response_status"], &answer["errors"]), (&json!(200), &json!([])));
    assert_eq!(answer["data"][1]["pk"], 1);
    let outside = exchange(&mut ann, &wrapped(json!({"action": "create", "data": {"text": "x"}})));
    assert_eq!(payload(&outside)["response_status"], 400);

    let mut ann = joined(DCRF);
    let created = exchange(&mut ann, &wrapped(json!({"action": "create", "data": {"text": "x"}})));
    assert_eq!(payload(&created)["response_status"], 201);
    assert_eq!(payload(&created)["data"]["text"], "x");
    let room = exchange(&mut ann, &wrapped(json!({"action": "retrieve", "pk": 1, "data": {}})));
    assert_eq!(payload(&room)["data"]["pk"], 1);
    let patch = wrapped(json!({"action": "patch", "pk": 11, "data": {"text": "y"}}));
    assert_eq!(payload(&exchange(&mut ann, &patch))["data"]["text"], "y");
    let delete = wrapped(json!({"action": "delete", "pk": 11, "data": {}}));
    let text = delete.to_string();
    let command = ann.decode(&text).unwrap()[0].command.clone();
    assert!(matches!(command, Command::Delete { messages, .. } if messages == [message_id(11)]));
    assert_eq!(payload(&exchange(&mut ann, &delete))["response_status"], 204);
    let subscribe = wrapped(json!({"action": "subscribe_instance", "pk": {"pk": 1}}));
    let refused = exchange(&mut ann, &subscribe);
    assert_eq!(payload(&refused)["response_status"], 405);
    // The events of a room are wrapped too.
    let heard = json(&ann.hears(&posted(CHAT))[0]);
    assert_eq!(payload(&heard)["action"], "create_message");
    assert_eq!(heard["stream"], "chat");
}

#[test]
fn dcrf_client_takes_its_token_from_a_header_where_it_can_set_one() {
    let mut request = websocket_request("/ws/chat/");
    let bearer = HeaderValue::try_from(format!("Bearer {}", ANN.token)).expect("it is ASCII");
    request.headers.insert(AUTHORIZATION, bearer);
    proven(Peer::at(DCRF, &request));
}

#[test]
fn without_a_token_no_first_frame_is_claimed() {
    for file in [OF_2024_12, OF_2025_01, OF_2025_03, OF_2025_04, DCRF] {
        assert!(!claims(file, r#"{"action": "list", "room_pk": 1}"#), "{file}");
    }
    assert!(!claims(DCRF, r#"{"stream": "chat", "payload": {"action": "list"}}"#));
}

#[test]
fn a_message_of_another_connection_with_the_same_request_id_is_no_response() {
    let dialect = compiled(OF_2025_04);
    let opening = handshake("/ws/chat/", "chat");
    let client = dialect.client().expect("a file is a client too");
    let connected = client.connect(&Handshake::new(ConnectionId(1)).request(&opening));
    let Ok(mut session) = connected else { panic!("the handshake is rejected") };
    let now = fixtures::time(0);
    let mut exchange = |command: Option<Command>, text: &str| {
        if let Some(command) = command {
            let credentials = Credentials::Bearer(ANN.secret());
            let request = Request::new(Correlation::NONE, credentials, command);
            session.request(now, &request, &mut Vec::new()).expect("the wire has such a request");
        }
        let mut incoming = Vec::new();
        let decoded = session.decode(now, &Frame::text(text.to_owned()), &mut incoming);
        decoded.unwrap_or_else(|error| panic!("{text}: {error}"));
        incoming.iter().map(|one| matches!(one, Incoming::Response(_))).collect::<Vec<_>>()
    };
    let kinds = FlowKindFilter::Any;
    let join = Command::GetFlow { flow: flow_id(CHAT), kinds, members: true };
    let joined = r#"{"errors":[],"data":{"id":1,"type":"M"},"action":"join_room",
        "response_status":200,"request_id":1}"#;
    assert_eq!(exchange(Some(join), joined), [true]);
    let posted = |text: &str| {
        format!(
            r#"{{"errors":[],"data":{{"id":5,"text":"{text}","user":2,"room":1,"attachments":[],
                "created_at":"2023-11-14T22:13:21.250000Z"}},"action":"create_message",
                "response_status":201,"request_id":2}}"#
        )
    };
    let content = Content::text("mine");
    let send = NewMessage { flow: flow_id(CHAT), kinds, key: None, content };
    let send = Command::Send(Box::new(send));
    assert_eq!(exchange(Some(send), &posted("another")), [false]);
    assert_eq!(exchange(None, &posted("mine")), [true]);
}
