//! Frames whose envelopes are lists.

use tolmach_dialect::{
    Correlation, Credentials, Dialect, DialectClient, Frame, Handshake, Incoming, Recognition,
    RenderContext, Request, Response,
};
use tolmach_dialect_declared::{Declared, DialectFile};
use tolmach_dialect_kit::fixtures::{self, ANN, CHAT};
use tolmach_domain::{Answer, Command, ConnectionId, Fault};

/// The envelopes of a wire, and what its frames are laid over.
const HEAD: &str = r#"
[dialect]
id = "harbor"
summary = "calls in lists, numbers as ids, texts as outcomes"
credentials = "connection"
opens = 'OPENS'
[outcomes]
columns = ["st", "why"]
ok = ["200"]
no_such_flow = ["404", "no berth"]
unknown = ["501", "what is that?"]
malformed = ["400", "<reason>"]
"*" = ["422", "<field>: <reason>"]
[envelope]
request = 'REQUEST'
response = 'RESPONSE'
event = 'EVENT'
[[request.login]]
name = "hail"
set = { grant = "connection" }
frame = '{"who": <identifier>, "key": <password>}'
[[request.send]]
name = "say"
frame = '{"berth": <flow>, "words": <text>}'
response = '{"line": <id>}'
[[request.logout]]
name = "leave"
[[event.posted]]
name = "heard"
frame = '{"berth": <flow>, "line": <id>, "by": <author.login>, "words": <text>}'
"#;

fn harbor([opens, request, response, event]: [&str; 4]) -> Declared {
    let text = HEAD
        .replace("OPENS", opens)
        .replace("REQUEST", request)
        .replace("RESPONSE", response)
        .replace("EVENT", event);
    let file = Declared::compile(DialectFile { name: "harbor.toml", text: &text }, &[]);
    file.unwrap_or_else(|error| panic!("{error}"))
}

/// A list under a key, and a list that is the whole frame: the arguments stand in its third item.
fn wires() -> [(Declared, &'static str, &'static str); 2] {
    let keyed = harbor([
        r#"{"m": [<_: string>, <_: integer>]}"#,
        r#"{"m"+: [<name>, <tag: integer>, +{}]}"#,
        r#"{"m"+: [<name>, <tag>, <outcome.st>, +{"why"?: <outcome.why>}]}"#,
        r#"{"m"+: [<name>, 0, +{}]}"#,
    ]);
    let bare = harbor([
        r#"["hail", <_: integer>]"#,
        r#"[<name>, <tag: integer>, +{}]"#,
        r#"[<name>, <tag>, <outcome.st>, +{"why"?: <outcome.why>}]"#,
        r#"[<name>, 0, +{}]"#,
    ]);
    [(keyed, r#"{"m":"#, "}"), (bare, "", "")]
}

#[test]
fn frames_are_laid_over_the_marked_item_of_a_list() {
    for (file, before, after) in wires() {
        let whole = |list: &str| format!("{before}{list}{after}");
        let frame = |list: &str| Frame::text(whole(list));
        let opening = tolmach_dialect::websocket_request("/harbor");
        let handshake = Handshake::new(ConnectionId(1)).request(&opening).websocket(true);
        let mut session = file.accept(&handshake).unwrap_or_else(|_| panic!("it is accepted"));
        session.authenticated(Some(ANN.identity()));
        let mut requests = Vec::new();
        let said = frame(r#"["say",7,{"berth":4,"words":"ahoy"}]"#);
        session.decode(fixtures::time(0), &said, &mut requests).unwrap();
        let request = requests.pop().unwrap();
        let Command::Send(new) = &request.command else { panic!("{:?}", request.command) };
        assert_eq!((new.flow.get(), new.content.text.as_str()), (4, "ahoy"));
        let message = fixtures::message(CHAT, 2);
        let id = message.id.get();
        for (outcome, expected) in [
            (
                Ok(Answer::Sent { message: Some(Box::new(message)), repeated: false }),
                format!(r#"["say",7,"200",{{"line":{id}}}]"#),
            ),
            (Err(Fault::NoSuchFlow), r#"["say",7,"404",{"why":"no berth"}]"#.to_owned()),
        ] {
            let response = Response::new(request.correlation.clone(), outcome);
            let mut frames = Vec::new();
            let context = RenderContext::EMPTY;
            session.respond(fixtures::time(0), &response, &context, &mut frames).unwrap();
            assert_eq!(frames, [frame(&expected)]);
        }
        for (sent, expected) in [
            (
                r#"["say",8,{"berth":"4","words":"x"}]"#,
                r#"["say",8,"422",{"why":"berth: an integer is expected"}]"#,
            ),
            (r#"["say",8,{"berth":4}]"#, r#"["say",8,"422",{"why":"words: missing"}]"#),
            (r#"["say",8,{}]"#, r#"["say",8,"422",{"why":"berth: missing"}]"#),
            (r#"["sing",9,{}]"#, r#"["sing",9,"501",{"why":"what is that?"}]"#),
        ] {
            let refused = session.decode(fixtures::time(0), &frame(sent), &mut Vec::new());
            let answer = refused.unwrap_err().answer.unwrap();
            let text = String::from_utf8_lossy(answer.payload()).into_owned();
            assert_eq!(text, whole(expected), "{sent}");
        }
        let leave = frame(r#"["leave",10,{}]"#);
        session.decode(fixtures::time(0), &leave, &mut requests).unwrap();
        assert!(matches!(requests[0].command, Command::Logout { .. }));
    }
}

#[test]
fn a_client_reads_responses_and_events_in_lists() {
    for (file, before, after) in wires() {
        let frame = |list: &str| Frame::text(format!("{before}{list}{after}"));
        let opening = tolmach_dialect::websocket_request("/harbor");
        let handshake = Handshake::new(ConnectionId(1)).request(&opening).websocket(true);
        let mut client = file.connect(&handshake).unwrap_or_else(|_| panic!("it is its own"));
        let command = Command::Login {
            identifier: "ann".to_owned().into(),
            password: tolmach_domain::Secret::new("secret"),
            grant: tolmach_domain::GrantKind::Connection,
        };
        let request = Request::new(Correlation::new(()), Credentials::Nothing, command);
        let mut frames = Vec::new();
        client.request(fixtures::time(0), &request, &mut frames).unwrap();
        assert_eq!(frames, [frame(r#"["hail",1,{"who":"ann","key":"secret"}]"#)]);
        let mut incoming = Vec::new();
        for text in [
            r#"["hail",1,"200",{}]"#,
            r#"["heard",0,{"berth":4,"line":9,"by":"bob","words":"ahoy"}]"#,
        ] {
            client.decode(fixtures::time(0), &frame(text), &mut incoming).unwrap();
        }
        let [Incoming::Response(response), Incoming::Event(event)] = &incoming[..] else {
            panic!("{incoming:?}")
        };
        assert!(matches!(response.outcome, Ok(Answer::Granted(_))), "{response:?}");
        assert_eq!((event.name(), event.flow().map(|flow| flow.get())), ("posted", Some(4)));
    }
}

#[test]
fn a_list_is_recognised_by_its_items() {
    let [(keyed, ..), (bare, ..)] = wires();
    for (file, text, is_own) in [
        (&keyed, r#"{"m":["hail",1,{}]}"#, true),
        (&keyed, r#"{"m":["hail"]}"#, false),
        (&keyed, r#"{"m":["hail","1"]}"#, false),
        (&keyed, r#"{"m":{}}"#, false),
        (&keyed, r#"["hail",1]"#, false),
        (&bare, r#"["hail",1,{}]"#, true),
        (&bare, r#"["say",1,{}]"#, false),
        (&bare, r#"["hail"]"#, false),
        (&bare, "[]", false),
        (&bare, r#"{"m":["hail",1]}"#, false),
    ] {
        let frame = Frame::text(text.to_owned());
        let opening = tolmach_dialect::websocket_request("/");
        let handshake = Handshake::new(ConnectionId(1)).request(&opening).first_frame(&frame);
        let found = file.recognise(&handshake);
        assert_eq!(found == Recognition::Certain("doc"), is_own, "{text}: {found:?}");
    }
}
