//! Both sides of a connection, through the public boundary alone.

mod client;
mod errors;
mod events;
mod options;
mod recognition;
mod server;

use std::sync::LazyLock;
use tolmach_dialect::{
    ClientSession, Correlation, Credentials, Dialect, Frame, Handshake, Incoming, RenderContext,
    Request, Response, ServerSession,
};
use tolmach_dialect_kit::fixtures::{self, Persona};
use tolmach_dialect_sndmsg::SndMsg;
use tolmach_domain::{Answer, Command, ConnectionId, Fault, Timestamp};

/// The time at which everything here happens.
static NOW: LazyLock<Timestamp> = LazyLock::new(|| fixtures::time(0));

const CONNECTION: ConnectionId = ConnectionId(7);

const LOGIN: &str = r#"{"type":"REQUEST_LOGIN","login":"ann","pass":"p"}"#;

fn server() -> Box<dyn ServerSession> {
    server_of(&SndMsg::default())
}

fn server_of(dialect: &SndMsg) -> Box<dyn ServerSession> {
    dialect.accept(&Handshake::new(CONNECTION)).expect("every handshake is accepted")
}

/// A server's session that a user has logged in on.
fn logged_in_server(persona: &Persona) -> Box<dyn ServerSession> {
    let mut server = server();
    log_in(&mut *server, persona);
    server
}

fn log_in(server: &mut dyn ServerSession, persona: &Persona) {
    let request = LOGIN.replace("ann", persona.login);
    let replies = exchange(server, &request, persona, None);
    assert_eq!(replies, [r#"{"type":"RESPONSE_LOGIN","status":"LOGIN_OK"}"#]);
}

/// A client's session that has logged in as `ann`.
fn client() -> Box<dyn ClientSession> {
    let dialect = SndMsg::default();
    let client = dialect.client().expect("the dialect has a client's side");
    let mut client =
        client.connect(&Handshake::new(CONNECTION)).expect("every handshake is accepted");
    encode(&mut *client, &decode(&mut *server(), LOGIN));
    let incoming = read(&mut *client, r#"{"type":"RESPONSE_LOGIN","status":"LOGIN_OK"}"#);
    assert!(matches!(&incoming[..], [Incoming::Response(_)]));
    client
}

/// A request of a connection that has logged in.
fn request(command: Command) -> Request {
    Request::new(Correlation::NONE, Credentials::Connection, command)
}

fn text(frame: &Frame) -> &str {
    match frame {
        Frame::Text(text) => std::str::from_utf8(text).expect("a text frame is UTF-8"),
        other => panic!("a {} frame instead of text", other.kind()),
    }
}

fn texts(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(|frame| text(frame).to_owned()).collect()
}

/// The one request of a frame.
fn decode(server: &mut dyn ServerSession, frame: &str) -> Request {
    let mut requests = Vec::new();
    server.decode(*NOW, &Frame::text(frame.to_owned()), &mut requests).expect(frame);
    assert_eq!(requests.len(), 1, "{frame}");
    requests.remove(0)
}

/// The frames of a request.
fn encode(client: &mut dyn ClientSession, request: &Request) -> Vec<String> {
    let mut frames = Vec::new();
    client.request(*NOW, request, &mut frames).expect("the wire has frames for it");
    texts(&frames)
}

/// The replies decoded from a frame.
fn read(client: &mut dyn ClientSession, frame: &str) -> Vec<Incoming> {
    let mut incoming = Vec::new();
    client.decode(*NOW, &Frame::text(frame.to_owned()), &mut incoming).expect(frame);
    incoming
}

/// The frames of the response to a request.
fn respond(server: &mut dyn ServerSession, response: &Response) -> Vec<String> {
    let mut frames = Vec::new();
    server
        .respond(*NOW, response, &RenderContext::EMPTY, &mut frames)
        .expect("the wire has frames for it");
    texts(&frames)
}

/// Sends a request of a user to a server, which refuses it with the fault or grants it.
fn exchange(
    server: &mut dyn ServerSession,
    frame: &str,
    persona: &Persona,
    fault: Option<Fault>,
) -> Vec<String> {
    let request = decode(server, frame);
    let outcome = fault.map_or_else(|| Ok(fixtures::answer(persona, &request.command)), Err);
    if matches!((&request.command, &outcome), (Command::Login { .. }, Ok(Answer::Granted(_)))) {
        server.authenticated(Some(persona.identity()));
    }
    let identity = Some(persona.identity());
    respond(server, &Response { correlation: request.correlation, identity, outcome })
}

/// The frame that answers a violation.
fn violation(server: &mut dyn ServerSession, frame: &str) -> String {
    let mut requests = Vec::new();
    let violation =
        server.decode(*NOW, &Frame::text(frame.to_owned()), &mut requests).expect_err(frame);
    assert!(requests.is_empty() && violation.close.is_none(), "{frame}");
    text(&violation.answer.expect("a violation is answered")).to_owned()
}
