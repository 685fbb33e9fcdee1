//! MoreliaTalk before 1.0 in the field: a desktop client whose `reg` logs in or registers.

use crate::peer::{Peer, claims};
use tolmach_dialect::{Request, Subscription};
use tolmach_dialect_kit::fixtures::{self, ANN, CHAT, flow_id, flow_summary, message};
use tolmach_domain::{Answer, Command, Event, EventKind, Fault, FlowId, HistoryRange, MessagePage};

const FILE: &str = "morelia-0.toml";
const REG: &str = r#"{"mode":"reg","username":"ann","password":"pw"}"#;
const MESSAGE: &str = r#"{"mode":"message","username":"ann","text":"hello"}"#;

fn only(requests: Vec<Request>) -> Request {
    let [request] = <[Request; 1]>::try_from(requests).expect("one request is made");
    request
}

/// The frames of a granted request.
fn granted(peer: &mut Peer, request: &Request) -> Vec<String> {
    peer.respond(request, Ok(fixtures::answer(&ANN, &request.command)))
}

/// The frame of a message of the fixtures, of this author.
fn frame(text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!(
        r#"{{"mode":"message","username":"ann-the-user","text":{text},"timestamp":1700000001.25}}"#
    )
}

/// A connection whose login was granted, with these flows.
fn logged_in(flows: &[FlowId]) -> Peer {
    let mut peer = Peer::tcp(FILE);
    let login = only(peer.decode(REG).expect("the frame is a request"));
    assert_eq!(granted(&mut peer, &login), [r#"{"mode":"reg","status":"true"}"#]);
    let list = only(peer.follow_ups());
    assert_eq!(list.command, Command::ListFlows { limit: Some(1), offset: 0, members: false });
    let flows = flows.iter().map(|flow| flow_summary(flow.get(), false)).collect();
    assert!(peer.respond(&list, Ok(Answer::Flows(flows))).is_empty());
    peer
}

#[test]
fn a_registration_is_claimed_and_nothing_else_that_has_a_mode() {
    assert!(claims(FILE, REG));
    for other in [
        MESSAGE,
        r#"{"mode":"register","username":"ann","password":"pw"}"#,
        r#"{"mode":"reg","username":"ann"}"#,
        r#"{"mode":"reg","username":1,"password":"pw"}"#,
    ] {
        assert!(!claims(FILE, other), "{other}");
    }
}

#[test]
fn a_login_without_an_account_registers_and_one_with_another_password_is_refused() {
    let wrong = || Err(Fault::WrongCredentials { login_exists: true });
    for (outcome, status) in
        [(Ok(()), "newreg"), (Err(Fault::LoginTaken), "false"), (Err(Fault::Unavailable), "false")]
    {
        let mut peer = Peer::tcp(FILE);
        let login = only(peer.decode(REG).expect("the frame is a request"));
        assert!(matches!(login.command, Command::Login { .. }));
        assert!(peer.respond(&login, wrong()).is_empty());
        let register = only(peer.follow_ups());
        let Command::Register(new) = &register.command else { panic!("{register:?}") };
        assert_eq!((new.login.as_deref(), new.password.expose()), (Some("ann"), "pw"));
        let is_granted = outcome.is_ok();
        let outcome = outcome.map(|()| fixtures::answer(&ANN, &register.command));
        let expected = format!(r#"{{"mode":"reg","status":"{status}"}}"#);
        assert_eq!(peer.respond(&register, outcome), [expected]);
        assert_eq!(peer.follow_ups().len(), usize::from(is_granted), "{status}");
    }
}

#[test]
fn another_fault_of_a_login_is_refused_without_a_registration() {
    let mut peer = Peer::tcp(FILE);
    let login = only(peer.decode(REG).expect("the frame is a request"));
    let refused = peer.respond(&login, Err(Fault::Unavailable));
    assert_eq!(refused, [r#"{"mode":"reg","status":"false"}"#]);
    assert!(peer.follow_ups().is_empty());
}

#[test]
fn the_history_of_the_newest_flow_comes_after_the_login() {
    let mut peer = logged_in(&[flow_id(CHAT)]);
    assert_eq!(peer.subscription(), Subscription::Flow(flow_id(CHAT)));
    let history = only(peer.follow_ups());
    let Command::History { flow, range, .. } = history.command else { panic!("{history:?}") };
    assert_eq!(flow, flow_id(CHAT));
    assert_eq!(range, HistoryRange::Newest { limit: 100, offset: 0 });
    let page = MessagePage::new(flow, vec![message(CHAT, 1), message(CHAT, 2)]);
    let frames = peer.respond(&history, Ok(Answer::History(Box::new(page))));
    assert_eq!(frames.len(), 2);
    assert!(frames.iter().all(|frame| frame.starts_with(r#"{"mode":"message","username":"#)));
    assert!(peer.follow_ups().is_empty());
}

#[test]
fn without_a_flow_there_is_no_history_and_a_message_is_dropped() {
    let mut peer = logged_in(&[]);
    assert!(peer.follow_ups().is_empty());
    assert_eq!(peer.subscription(), Subscription::None);
    assert_eq!(peer.decode(MESSAGE).expect_err("there is no room"), None);
}

#[test]
fn a_message_goes_to_the_room_and_is_shown_to_its_author_and_to_the_others() {
    let mut peer = logged_in(&[flow_id(CHAT)]);
    let send = only(peer.decode(MESSAGE).expect("the frame is a request"));
    let Command::Send(new) = &send.command else { panic!("{send:?}") };
    assert_eq!((new.flow, new.content.text.as_str()), (flow_id(CHAT), "hello"));
    let posted = message(CHAT, 1);
    let sent = Answer::Sent { message: Some(Box::new(posted.clone())), repeated: false };
    assert_eq!(peer.respond(&send, Ok(sent)), [frame("hello")]);
    let text = posted.content.text.clone();
    let event = Event::new(fixtures::time(1), EventKind::Posted(posted));
    assert_eq!(peer.hears(&event), [frame(&text)]);
    let stranger = r#"{"mode":"message","username":"bob","text":"hello"}"#;
    assert_eq!(peer.decode(stranger).expect_err("it is the name of another user"), None);
}
