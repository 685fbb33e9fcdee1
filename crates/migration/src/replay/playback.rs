//! One captured connection, as it is played against another server.

use crate::compare::{Attribution, Marks, Normal};
use crate::fields::Route;
use crate::payload::{Document, payload_of};
use crate::replay::learned::Learned;
use std::collections::{BTreeMap, VecDeque};
use tolmach_capture::{CapturedFrame, FrameKind, Open, OpenRequest};
use tolmach_dialect::{FieldMap, FieldRule};

/// The frames of the target that may be kept until the capture has its counterparts.
const MAX_KEPT: usize = 1_024;
/// The requests whose routes are remembered.
const MAX_ROUTES: usize = 1_024;

/// A captured connection: the requests of its client, and the frames that its server sent, each of
/// which waits for the target's.
///
/// The caller has the sockets. A frame of the target counts for the captured frame that answers the
/// same request; for an event, the captured one with the same values, or else the oldest of its
/// name.
#[derive(Debug)]
pub struct Playback {
    rules: &'static [FieldRule],
    fields: FieldMap,
    handshake: Option<Route>,
    captured: Attribution,
    target: Attribution,
    routes: BTreeMap<u64, Route>,
    /// Captured frames without one of the target.
    expected: VecDeque<Played>,
    /// Frames of the target without a captured one.
    kept: VecDeque<Played>,
}

/// A server's frame.
#[derive(Debug)]
struct Played {
    answers: Option<u64>,
    name: Option<String>,
    normal: Normal,
    frame: Box<CapturedFrame>,
}

impl Playback {
    /// A connection that was opened so, with the field rules of its dialect.
    pub fn new(open: &Open, rules: &'static [FieldRule]) -> Self {
        let handshake = open.request.as_ref();
        Self {
            rules,
            fields: FieldMap::new(rules),
            handshake: handshake.map(|request| Route::new(&request.method, &request.uri)),
            captured: Attribution::default(),
            target: Attribution::default(),
            routes: BTreeMap::new(),
            expected: VecDeque::new(),
            kept: VecDeque::new(),
        }
    }

    /// Sets the field rules, once the dialect or its revision is known.
    pub fn set_rules(&mut self, rules: &'static [FieldRule]) {
        self.rules = rules;
        self.fields = FieldMap::new(rules);
    }

    /// The request of the handshake as the target gets it.
    pub fn opening(&self, request: &OpenRequest, learned: &Learned) -> OpenRequest {
        learned.put_opening(request, &self.fields)
    }

    /// A client's frame as the target gets it.
    pub fn request(&mut self, frame: &CapturedFrame, learned: &Learned) -> CapturedFrame {
        let marks = self.marks(frame);
        let number = self.captured.request(&marks);
        self.target.request(&marks);
        let route = match (&frame.method, &frame.uri) {
            (Some(method), Some(uri)) => Some(Route::new(method, uri)),
            _ => None,
        };
        let put = learned.put(frame, &self.fields, route.as_ref().or(self.handshake.as_ref()));
        if let Some(route) = route {
            self.routes.insert(number, route);
            if self.routes.len() > MAX_ROUTES {
                self.routes.pop_first();
            }
        }
        put
    }

    /// A frame that the captured server sent: the target's is expected from now on.
    pub fn expect(&mut self, frame: Box<CapturedFrame>, learned: &mut Learned) {
        let marks = self.marks(&frame);
        let answers = self.captured.answered(&marks);
        let expected = self.played(answers, marks, frame);
        match counterpart(&self.kept, &expected) {
            Some(index) => {
                if let Some(kept) = self.kept.remove(index) {
                    self.learn(&expected, &kept, learned);
                }
            }
            None => self.expected.push_back(expected),
        }
    }

    /// A frame of the target.
    pub fn arrive(&mut self, frame: Box<CapturedFrame>, learned: &mut Learned) {
        let marks = self.marks(&frame);
        let answers = self.target.answered(&marks);
        let arrived = self.played(answers, marks, frame);
        match counterpart(&self.expected, &arrived) {
            Some(index) => {
                if let Some(expected) = self.expected.remove(index) {
                    self.learn(&expected, &arrived, learned);
                }
            }
            None => {
                self.kept.push_back(arrived);
                if self.kept.len() > MAX_KEPT {
                    self.kept.pop_front();
                }
            }
        }
    }

    /// The number of captured frames whose counterparts have not come.
    pub fn expected(&self) -> usize {
        self.expected.len()
    }

    /// Expects none of them any more; gives their number.
    pub fn give_up(&mut self) -> usize {
        self.expected.drain(..).count()
    }

    fn marks(&self, frame: &CapturedFrame) -> Marks {
        let is_http = matches!(frame.kind, FrameKind::Request | FrameKind::Response);
        let payload = payload_of(frame);
        let document = Document::new(&payload);
        let root = document.as_ref().and_then(Document::root);
        Marks::new(self.rules, root.as_ref(), is_http)
    }

    fn route(&self, answers: Option<u64>) -> Option<&Route> {
        let own = answers.and_then(|number| self.routes.get(&number));
        own.or(self.handshake.as_ref())
    }

    fn played(&self, answers: Option<u64>, marks: Marks, frame: Box<CapturedFrame>) -> Played {
        let payload = payload_of(&frame);
        let document = Document::new(&payload);
        let root = document.as_ref().and_then(Document::root);
        let normal = Normal::new(&frame, &payload, root.as_ref(), self.rules, self.route(answers));
        drop(root);
        drop(document);
        drop(payload);
        Played { answers, name: marks.name, normal, frame }
    }

    fn learn(&self, captured: &Played, target: &Played, learned: &mut Learned) {
        learned.learn(&captured.frame, &target.frame, self.rules, self.route(captured.answers));
    }
}

/// The place of the frame that a frame of the other server counts for.
fn counterpart(frames: &VecDeque<Played>, frame: &Played) -> Option<usize> {
    let of_request = |other: &Played| other.answers == frame.answers;
    let same =
        |other: &Played| of_request(other) && other.normal.signature == frame.normal.signature;
    let similar =
        |other: &Played| of_request(other) && (frame.answers.is_some() || other.name == frame.name);
    frames.iter().position(same).or_else(|| frames.iter().position(similar))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_capture::{Sender, Transport};
    use tolmach_dialect::{Condition, FieldRole, Frame};

    static RULES: [FieldRule; 3] = [
        FieldRule::body("id", FieldRole::User).when(Condition::Value("do", &["who", "come"])),
        FieldRule::body("token", FieldRole::Token),
        FieldRule::body("no", FieldRole::Correlation),
    ];

    fn frame(from: Sender, text: &str) -> Box<CapturedFrame> {
        Box::new(CapturedFrame::new(1, 0, from, &Frame::text(text.to_owned())))
    }

    fn playback() -> Playback {
        let open: Open = serde_json::from_value(serde_json::json!({
            "connection": 1, "at": 0, "transport": "websocket",
        }))
        .unwrap();
        assert_eq!(open.transport, Transport::WebSocket);
        Playback::new(&open, &RULES)
    }

    #[test]
    fn values_are_learned_from_answers_and_events_and_put_into_later_frames() {
        let (mut playback, mut learned) = (playback(), Learned::default());
        for (captured, put, answer, target) in [
            (
                r#"{"do":"login","no":1}"#,
                r#"{"do":"login","no":1}"#,
                r#"{"do":"login","no":1,"token":"old-token"}"#,
                r#"{"do":"login","no":1,"token":"new-token"}"#,
            ),
            (
                r#"{"do":"who","no":2,"token":"old-token"}"#,
                r#"{"do":"who","no":2,"token":"new-token"}"#,
                r#"{"do":"who","no":2,"id":5}"#,
                r#"{"do":"who","no":2,"id":9}"#,
            ),
            (
                r#"{"do":"who","no":3,"id":5}"#,
                r#"{"do":"who","no":3,"id":9}"#,
                r#"{"do":"come","id":6,"name":"b"}"#,
                r#"{"do":"come","id":8,"name":"b"}"#,
            ),
            (r#"{"do":"who","id":6}"#, r#"{"do":"who","id":8}"#, "", ""),
        ] {
            let sent = playback.request(&frame(Sender::Client, captured), &learned);
            assert_eq!(sent.text.as_deref(), Some(put));
            if !answer.is_empty() {
                playback.expect(frame(Sender::Server, answer), &mut learned);
                assert_eq!(playback.expected(), 1);
                playback.arrive(frame(Sender::Server, target), &mut learned);
                assert_eq!(playback.expected(), 0);
            }
        }
    }

    #[test]
    fn a_frame_of_the_target_may_come_first_and_others_do_not_count() {
        let (mut playback, mut learned) = (playback(), Learned::default());
        playback.arrive(frame(Sender::Server, r#"{"do":"gone"}"#), &mut learned);
        playback.arrive(frame(Sender::Server, r#"{"do":"come","id":8,"name":"b"}"#), &mut learned);
        playback.arrive(frame(Sender::Server, r#"{"do":"come","id":7,"name":"a"}"#), &mut learned);
        playback.expect(frame(Sender::Server, r#"{"do":"come","id":5,"name":"a"}"#), &mut learned);
        assert_eq!(playback.expected(), 0);
        playback.expect(frame(Sender::Server, r#"{"do":"typed"}"#), &mut learned);
        assert_eq!((playback.expected(), playback.give_up()), (1, 1));
        let sent = playback.request(&frame(Sender::Client, r#"{"do":"who","id":5}"#), &learned);
        assert_eq!(sent.text.as_deref(), Some(r#"{"do":"who","id":7}"#));
    }
}
