//! Both ends of a connection, through the public boundary alone.

mod client;
mod pushes;
mod recognition;
mod server;
mod specification;

use std::sync::LazyLock;
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Opening, Reply, Session, Settings, Side};
use tolmach_dialect_kit::world::{self, ANN, Speaker};
use tolmach_dialect_sndmsg::SndMsg;
use tolmach_domain::{Answer, ConnectionId, Fault, Timestamp};

/// The moment at which everything here happens.
static NOW: LazyLock<Timestamp> = LazyLock::new(|| world::moment(0));

const LOGIN: &str = r#"{"type":"REQUEST_LOGIN","login":"ann","pass":"p"}"#;

fn opening() -> Opening<'static> {
    Opening {
        request: None,
        first: None,
        connection: ConnectionId(7),
        websocket: true,
        settings: Settings::default(),
    }
}

fn session(side: Side, settings: Settings) -> Box<dyn Session> {
    SndMsg.open(&Opening { settings, ..opening() }, side).expect("this dialect refuses no opening")
}

fn server() -> Box<dyn Session> {
    session(Side::Server, Settings::default())
}

/// A server's end on which somebody has logged in.
fn server_of(speaker: &Speaker) -> Box<dyn Session> {
    let mut server = server();
    log_in(&mut *server, speaker);
    server
}

fn log_in(server: &mut dyn Session, speaker: &Speaker) {
    let request = LOGIN.replace("ann", speaker.login);
    assert_eq!(
        exchange(server, &request, speaker, None),
        [r#"{"type":"RESPONSE_LOGIN","status":"LOGIN_OK"}"#]
    );
}

/// A client's end that has logged in as [`ANN`].
fn client() -> Box<dyn Session> {
    let mut client = session(Side::Client, Settings::default());
    say(&mut *client, &Line::Ask(ask(&mut *server(), LOGIN)));
    assert!(matches!(
        &hear(&mut *client, r#"{"type":"RESPONSE_LOGIN","status":"LOGIN_OK"}"#)[..],
        [Line::Reply(_)]
    ));
    client
}

fn text(frame: &Frame) -> &str {
    match frame {
        Frame::Text(text) => std::str::from_utf8(text).expect("a text frame is UTF-8"),
        other => panic!("a {} frame was said", other.kind()),
    }
}

/// The one ask of a text.
fn ask(session: &mut dyn Session, text: &str) -> Ask {
    match hear(session, text).pop() {
        Some(Line::Ask(ask)) => ask,
        other => panic!("{other:?} was heard"),
    }
}

fn hear(session: &mut dyn Session, text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    session.decode(*NOW, &Frame::text(text.to_owned()), &mut lines).expect(text);
    lines
}

/// The frames of a line.
fn say(session: &mut dyn Session, line: &Line) -> Vec<String> {
    let mut frames = Vec::new();
    session.encode(*NOW, line, &mut frames).expect("the wire can say it");
    frames.iter().map(|frame| text(frame).to_owned()).collect()
}

fn reply(echo: &Echo, speaker: &Speaker, outcome: Result<Answer, Fault>) -> Line {
    Line::Reply(Reply { echo: echo.clone(), identity: Some(speaker.identity()), outcome })
}

/// Lets a server hear a request and answers it, with a fault or as the world does.
fn exchange(
    server: &mut dyn Session,
    request: &str,
    speaker: &Speaker,
    fault: Option<Fault>,
) -> Vec<String> {
    let ask = ask(server, request);
    let outcome = fault.map_or_else(|| Ok(world::answer(speaker, &ask.command)), Err);
    say(server, &reply(&ask.echo, speaker, outcome))
}

/// What a frame that is no request is answered with.
fn refused(server: &mut dyn Session, request: &str) -> String {
    let violation =
        server.decode(*NOW, &Frame::text(request.to_owned()), &mut Vec::new()).expect_err(request);
    assert_eq!(violation.close, None);
    text(&violation.answer.expect("it is answered")).to_owned()
}

#[test]
fn a_login_is_the_first_thing_said_on_both_ends() {
    client();
    server_of(&ANN);
}
