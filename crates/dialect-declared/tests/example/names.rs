//! Names of requests, of flows that are created, and of keys that a client cannot read.

use tolmach_dialect::{
    ClientSession, Correlation, Credentials, Delivery, Dialect, DialectClient, Event, Frame,
    Handshake, InvalidReply, RenderContext, Request, Response, ServerSession,
};
use tolmach_dialect_declared::{Declared, DialectFile};
use tolmach_dialect_kit::fixtures::{self, ANN, BOB};
use tolmach_domain::{
    Answer, Command, ConnectionId, EventKind, Fault, Flow, FlowId, FlowKind, FlowKindFilter,
    UserSummary,
};

const FILE: &str = r#"
[dialect]
id = "desk"
summary = "an answer has a name of its own"
credentials = "connection"
[outcomes]
columns = ["code", "text"]
ok = [0]
"*" = [1, "<field>: <reason>"]
[envelope]
request = '{"do": <name>}'
response = '{"re": <name>, "to"?: <request.name>, "code": <outcome.code>}'
event = '{"ev": <name>, "no"?: <request.name>}'
[[request.delete_flow]]
name = "drop"
answer = "dropped"
frame = '{"room": <flow>}'
response = '{"room": <flow>}'
[[request.create_profile]]
name = "become"
set = { name = "<username>" }
frame = '{"nick": <username>}'
response = '{"nick": <request.username>}'
[[event.flow_created]]
name = "made"
frame = '''{"room": <flow.id>, "name": <flow.name>, "login": <flow.name_by_login>,
  "with": [each flow.others: <id>], "all": [each flow.members: <login>]}'''
[[event.flow_deleted]]
name = "gone"
frame = '{"room": <flow>}'
"#;

fn desk() -> Declared {
    let file = Declared::compile(DialectFile { name: "desk.toml", text: FILE }, &[]);
    file.unwrap_or_else(|error| panic!("{error}"))
}

fn session(file: &Declared, viewer: &fixtures::Persona) -> Box<dyn ServerSession> {
    let request = tolmach_dialect::websocket_request("/desk");
    let handshake = Handshake::new(ConnectionId(1)).request(&request).websocket(true);
    let mut session = file.accept(&handshake).unwrap_or_else(|_| panic!("it is accepted"));
    session.authenticated(Some(viewer.identity()));
    session
}

#[test]
fn the_name_of_a_request_is_no_field_also_where_its_command_has_one() {
    let mut session = session(&desk(), &ANN);
    let mut requests = Vec::new();
    let frame = |text: &str| Frame::text(text.to_owned());
    let sent = frame(r#"{"do":"become","nick":"annie"}"#);
    session.decode(fixtures::time(0), &sent, &mut requests).unwrap();
    let response = Response::new(requests[0].correlation.clone(), Ok(Answer::ProfileCreated));
    let mut frames = Vec::new();
    session.respond(fixtures::time(0), &response, &RenderContext::EMPTY, &mut frames).unwrap();
    let expected = r#"{"re":"become","to":"become","code":0,"nick":"annie"}"#;
    assert_eq!(frames, [frame(expected)]);
}

#[test]
fn a_response_and_each_refusal_may_name_the_request_beside_the_answer() {
    let mut session = session(&desk(), &ANN);
    let mut requests = Vec::new();
    let frame = |text: &str| Frame::text(text.to_owned());
    session.decode(fixtures::time(0), &frame(r#"{"do":"drop","room":7}"#), &mut requests).unwrap();
    let flow = FlowId::new(7).unwrap();
    for (outcome, expected) in [
        (Ok(Answer::FlowDeleted { flow }), r#"{"re":"dropped","to":"drop","code":0,"room":7}"#),
        (Err(Fault::NoSuchFlow), r#"{"re":"dropped","to":"drop","code":1}"#),
    ] {
        let response = Response::new(requests[0].correlation.clone(), outcome);
        let mut frames = Vec::new();
        let context = RenderContext::EMPTY;
        session.respond(fixtures::time(0), &response, &context, &mut frames).unwrap();
        assert_eq!(frames, [frame(expected)]);
    }
    for (sent, expected) in [
        (r#"{"do":"drop","room":"x"}"#, r#"{"re":"dropped","to":"drop","code":1}"#),
        (r#"{"do":"sing"}"#, r#"{"re":"sing","to":"sing","code":1}"#),
        ("{}", r#"{"re":null,"code":1}"#),
    ] {
        let refused = session.decode(fixtures::time(0), &frame(sent), &mut Vec::new());
        assert_eq!(refused.unwrap_err().answer, Some(frame(expected)), "{sent}");
    }
}

#[test]
fn a_chat_that_is_created_has_the_name_of_the_other_member() {
    let [ann, bob] = [&ANN, &BOB].map(|one| UserSummary::named(one.identity().user, one.login));
    let created = |kind, title: &str| {
        let flow = Flow::new(FlowId::new(7).unwrap(), kind, title);
        let members = vec![ann.clone(), bob.clone()];
        Event::new(fixtures::time(0), EventKind::FlowCreated { flow, members })
    };
    for (viewer, kind, title, name, others) in [
        (&ANN, FlowKind::Chat, "", BOB.login, &bob),
        (&BOB, FlowKind::Chat, "", ANN.login, &ann),
        (&ANN, FlowKind::Group, "yard", "yard", &bob),
    ] {
        let delivered =
            session(&desk(), viewer).deliver(&created(kind, title), &RenderContext::EMPTY);
        let Delivery::Private(frames) = delivered else { panic!("it differs: {delivered:?}") };
        let all = format!(r#""{}","{}""#, ANN.login, BOB.login);
        let with = others.id;
        let fields = format!(r#""name":"{name}","login":"{name}","with":[{with}],"all":[{all}]"#);
        let expected = format!(r#"{{"ev":"made","room":7,{fields}}}"#);
        assert_eq!(frames, [Frame::text(expected)]);
    }
}

#[test]
fn an_invalid_frame_of_a_server_is_reported_with_its_key() {
    let file = desk();
    let request = tolmach_dialect::websocket_request("/desk");
    let handshake = Handshake::new(ConnectionId(1)).request(&request).websocket(true);
    let mut client: Box<dyn ClientSession> =
        file.connect(&handshake).unwrap_or_else(|_| panic!("it is its own request"));
    let refused = |client: &mut Box<dyn ClientSession>, text: &str| {
        let frame = Frame::text(text.to_owned());
        let refused = client.decode(fixtures::time(0), &frame, &mut Vec::new()).unwrap_err();
        assert_eq!(refused, InvalidReply::SHAPE, "{text}");
        refused.to_string()
    };
    let shape = "the server's frame is invalid (shape)";
    for (text, reason) in [
        (r#"{"re":"sung","code":0}"#, "no request and no event has its name"),
        (r#"{"re":"dropped","code":0}"#, "no request waits for it, and it is no event"),
        (r#"{"ev":"gone"}"#, "room: missing"),
        (r#"{"ev":"gone","room":"7"}"#, "room: an integer is expected"),
    ] {
        assert_eq!(refused(&mut client, text), format!("{shape}: {reason}"));
    }
    let command = Command::DeleteFlow { flow: FlowId::new(7).unwrap(), kinds: FlowKindFilter::Any };
    let request = Request::new(Correlation::new(()), Credentials::Connection, command);
    client.request(fixtures::time(0), &request, &mut Vec::new()).unwrap();
    assert_eq!(
        refused(&mut client, r#"{"re":"dropped","code":0,"room":true}"#),
        format!("{shape}: room: an integer is expected")
    );
}
