//! The values that a server gives in place of those in a capture.

use crate::fields::{FrameRules, PlaceInBody, Route, is_made_by_server, part_of, signature};
use crate::payload::{Document, Leaf, Node, is_number, json_string, payload_of};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use tolmach_capture::{CapturedFrame, OpenRequest, Sender};
use tolmach_dialect::{FieldMap, FieldRole, FieldRule, FieldValue, Frame, Location};

/// The most values that are known at a time. Beyond it the oldest are forgotten.
const MAX_VALUES: usize = 1 << 20;
/// The shortest token that is put in place wherever it stands, in bytes.
const MIN_TOKEN: usize = 8;

/// Ids, tokens and times of the captured server, each with what the target has instead.
///
/// A value is known by its role and its text: the user 5 is not the flow 5, and an id that is a
/// number here and a text there is one. What was learned first stays, but for tokens: a server may
/// give a user the same token at each login, and another one a new token, which ends with its
/// session.
#[derive(Debug)]
pub struct Learned {
    max: usize,
    values: HashMap<(FieldRole, Box<str>), Box<str>>,
    ages: VecDeque<(FieldRole, Box<str>)>,
    /// Passwords by login, in place of the captured ones.
    passwords: HashMap<String, String>,
}

impl Default for Learned {
    fn default() -> Self {
        Self::new(HashMap::new(), Vec::new())
    }
}

impl Learned {
    /// Nothing is known but these passwords by login, and tokens by the captured ones: those that
    /// another server gives out.
    pub fn new(passwords: HashMap<String, String>, tokens: Vec<(String, String)>) -> Self {
        let (values, ages) = (HashMap::new(), VecDeque::new());
        let mut learned = Self { max: MAX_VALUES, values, ages, passwords };
        for (captured, token) in tokens {
            learned.insert(FieldRole::Token, &captured, &token);
        }
        learned
    }

    /// The number of values that are known.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Learns from two frames that answer one request, or are one event: the target's value at each
    /// place of an id, a token or a time. Items of lists are paired by their other values.
    pub(crate) fn learn(
        &mut self,
        captured: &CapturedFrame,
        target: &CapturedFrame,
        rules: &'static [FieldRule],
        route: Option<&Route>,
    ) {
        let (of_capture, of_target) = (payload_of(captured), payload_of(target));
        let (Some(of_capture), Some(of_target)) =
            (Document::new(&of_capture), Document::new(&of_target))
        else {
            return;
        };
        if let (Some(captured), Some(target)) = (of_capture.root(), of_target.root()) {
            let place = |root| FrameRules::new(rules, Sender::Server, route, Some(root)).body();
            self.pair((&captured, &place(&captured)), (&target, &place(&target)));
        }
    }

    /// A client's frame with the target's values. All other bytes of its payload are as they were.
    pub(crate) fn put(
        &self,
        frame: &CapturedFrame,
        fields: &FieldMap,
        route: Option<&Route>,
    ) -> CapturedFrame {
        // A frame that is none cannot be sent either; the player names its line.
        let Ok(old) = frame.frame() else { return frame.clone() };
        let route =
            route.map(|route| tolmach_dialect::Route { method: &route.method, path: &route.path });
        let password = self.password(&old, fields, route);
        let mut edit = |value: &FieldValue<'_>| self.new_value(value, password);
        let new = match (fields.edit(Sender::Client, route, &old, &mut edit), &old) {
            (Ok(new), _) => new,
            (Err(_), Frame::Request(request)) => {
                let mut new = (**request).clone();
                let uri = fields.edit_uri(request.method().as_str(), request.uri(), &mut edit);
                uri.into_iter().for_each(|uri| *new.uri_mut() = uri);
                let headers = fields.edit_headers(Sender::Client, request.headers(), &mut edit);
                headers.into_iter().for_each(|headers| *new.headers_mut() = headers);
                Some(Frame::request(new))
            }
            (Err(_), _) => None,
        };
        let Some(new) = new else { return frame.clone() };
        CapturedFrame {
            command: frame.command.clone(),
            dialect: frame.dialect.clone(),
            revision: frame.revision.clone(),
            ..CapturedFrame::new(frame.connection, frame.at, frame.from, &new)
        }
    }

    /// The request of a handshake with the target's values.
    pub(crate) fn put_opening(&self, request: &OpenRequest, fields: &FieldMap) -> OpenRequest {
        let empty = Frame::request(http::Request::new(Bytes::new()));
        let frame = CapturedFrame {
            method: Some(request.method.clone()),
            uri: Some(request.uri.clone()),
            headers: request.headers.clone(),
            ..CapturedFrame::new(0, 0, Sender::Client, &empty)
        };
        let put = self.put(&frame, fields, None);
        OpenRequest {
            method: request.method.clone(),
            uri: put.uri.unwrap_or_else(|| request.uri.clone()),
            headers: put.headers,
        }
    }

    fn pair(&mut self, captured: (&Node<'_>, &PlaceInBody), target: (&Node<'_>, &PlaceInBody)) {
        match (captured.0, target.0) {
            (Node::Object(members), Node::Object(_)) => {
                for (key, value) in members {
                    if let Some(other) = target.0.get(key) {
                        self.pair((value, &captured.1.key(key)), (other, &target.1.key(key)));
                    }
                }
            }
            (Node::List(of_capture), Node::List(of_target)) => {
                for (at, other) in pairs(of_capture, captured.1, of_target, target.1) {
                    self.pair(
                        (&of_capture[at], &captured.1.item(at)),
                        (&of_target[other], &target.1.item(other)),
                    );
                }
            }
            (Node::Leaf(of_capture), Node::Leaf(of_target)) => {
                let value = |leaf: &Leaf<'_>, place: &PlaceInBody| {
                    let (role, part) = place.role()?;
                    let is_learned = is_made_by_server(role) || role == FieldRole::Time;
                    if !is_learned || leaf.is_null() {
                        return None;
                    }
                    Some((role, part_of(leaf.text(), part)?.inner.into_owned()))
                };
                if let (Some((role, old)), Some((of, new))) =
                    (value(of_capture, captured.1), value(of_target, target.1))
                    && role == of
                {
                    self.insert(role, &old, &new);
                }
            }
            _ => {}
        }
    }

    fn insert(&mut self, role: FieldRole, captured: &str, target: &str) {
        if captured.is_empty() || target.is_empty() || captured == "0" {
            return;
        }
        let key = (role, Box::from(captured));
        if let Some(known) = self.values.get_mut(&key) {
            if role == FieldRole::Token {
                *known = target.into();
            }
            return;
        }
        self.values.insert(key.clone(), target.into());
        self.ages.push_back(key);
        if self.ages.len() > self.max
            && let Some(oldest) = self.ages.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    fn value(&self, role: FieldRole, captured: &str) -> Option<&str> {
        // A token may stand for a secret of the client, and the other way round.
        let role = if role == FieldRole::Secret { FieldRole::Token } else { role };
        self.values.get(&(role, captured.into())).map(|value| &**value)
    }

    /// The target's token for a captured one, wherever it stands.
    fn token(&self, text: &str) -> Option<&str> {
        if text.len() < MIN_TOKEN { None } else { self.value(FieldRole::Token, text) }
    }

    /// The password of the login that a frame names.
    fn password(
        &self,
        frame: &Frame,
        fields: &FieldMap,
        route: Option<tolmach_dialect::Route<'_>>,
    ) -> Option<&str> {
        if self.passwords.is_empty() {
            return None;
        }
        let mut found = None;
        let mut look = |value: &FieldValue<'_>| {
            let is_login = matches!(value.role, Some(FieldRole::Name | FieldRole::Contact));
            if found.is_none() && is_login && value.location == Location::Body {
                found = self.passwords.get(&*value.text).map(String::as_str);
            }
            None
        };
        // A body that is unreadable names no login.
        let _ = fields.edit(Sender::Client, route, frame, &mut look);
        found
    }

    /// The text in the place of a value, in the value's syntax; `None` if it stays.
    fn new_value(&self, value: &FieldValue<'_>, password: Option<&str>) -> Option<String> {
        let text = &*value.text;
        let by_role = value.role.and_then(|role| match (role, password) {
            (FieldRole::Secret, Some(password)) if value.location == Location::Body => {
                Some(password)
            }
            _ => self.value(role, text),
        });
        match by_role.or_else(|| self.token(text)) {
            Some(new) if value.is_text || is_number(new) => Some(new.to_owned()),
            Some(new) => Some(json_string(new)),
            None if value.location == Location::Header => {
                Some(self.put_tokens(text)).filter(|new| new != text)
            }
            None => None,
        }
    }

    /// A header with the target's tokens: words between spaces, commas, quotes and the like.
    fn put_tokens(&self, value: &str) -> String {
        let is_border = |character: char| matches!(character, ' ' | ',' | ';' | '=' | '"');
        let mut put = String::with_capacity(value.len());
        let mut rest = value;
        while !rest.is_empty() {
            let end = rest.find(is_border).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            put.push_str(self.token(word).unwrap_or(word));
            let border = after.chars().next().map_or(0, char::len_utf8);
            put.push_str(&after[..border]);
            rest = &after[border..];
        }
        put
    }
}

/// The items of two lists that are paired: those with the same other values, and of the rest, if
/// both lists have as many left, the first with the first.
fn pairs(
    a: &[Node<'_>],
    of_a: &PlaceInBody,
    b: &[Node<'_>],
    of_b: &PlaceInBody,
) -> Vec<(usize, usize)> {
    let mut free: HashMap<u64, VecDeque<usize>> = HashMap::new();
    for (index, item) in b.iter().enumerate() {
        free.entry(signature(item, &of_b.item(index))).or_default().push_back(index);
    }
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    for (index, item) in a.iter().enumerate() {
        let same = free.get_mut(&signature(item, &of_a.item(index)));
        match same.and_then(VecDeque::pop_front) {
            Some(other) => found.push((index, other)),
            None => rest.push(index),
        }
    }
    let mut left: Vec<usize> = free.into_values().flatten().collect();
    if left.len() == rest.len() {
        left.sort_unstable();
        found.extend(rest.into_iter().zip(left));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect::Place;

    static RULES: [FieldRule; 9] = [
        FieldRule::body("user", FieldRole::User),
        FieldRule::body("room", FieldRole::Flow),
        FieldRule::body("rooms/id", FieldRole::Flow),
        FieldRule::body("token", FieldRole::Token),
        FieldRule::body("since", FieldRole::Time),
        FieldRule::body("login", FieldRole::Name),
        FieldRule::body("password", FieldRole::Secret),
        FieldRule::at(Place::Path("/room/{}/**"), FieldRole::Flow),
        FieldRule::at(Place::Query("user"), FieldRole::User),
    ];

    fn frame(from: Sender, text: &str) -> CapturedFrame {
        CapturedFrame::new(1, 0, from, &Frame::text(text.to_owned()))
    }

    fn learned() -> Learned {
        let passwords = [("ann".to_owned(), "correct horse".to_owned())];
        let tokens = vec![("given-token".to_owned(), "t0ken".to_owned())];
        let mut learned = Learned::new(passwords.into(), tokens);
        for (captured, target) in [
            (r#"{"user":5,"token":"captured-token"}"#, r#"{"user":71,"token":"new \"token\""}"#),
            (
                r#"{"rooms":[{"id":5,"title":"a"},{"id":6,"title":"b"}],"since":1.5}"#,
                r#"{"rooms":[{"id":1,"title":"z"},{"id":9,"title":"b"},{"id":8,"title":"a"}],
                   "since":2.5}"#,
            ),
            (r#"{"user":5,"room":0}"#, r#"{"user":72,"room":4}"#),
        ] {
            let (captured, target) =
                (frame(Sender::Server, captured), frame(Sender::Server, target));
            learned.learn(&captured, &target, &RULES, None);
        }
        learned
    }

    #[test]
    fn values_of_the_target_are_put_in_place_and_no_other_byte_changes() {
        let (learned, fields) = (learned(), FieldMap::new(&RULES));
        for (captured, put) in [
            (r#"{ "user": 5, "n": 5 }"#, r#"{ "user": 71, "n": 5 }"#),
            (r#"{"user":"5","room":"6"}"#, r#"{"user":"71","room":"9"}"#),
            (r#"{'room': 5, 'since': 1.5}"#, r#"{'room': 8, 'since': 2.5}"#),
            (r#"{"user":6,"room":0}"#, r#"{"user":6,"room":0}"#),
            (r#"{"any":["captured-token"]}"#, r#"{"any":["new \"token\""]}"#),
            (r#"{"token":"given-token"}"#, r#"{"token":"t0ken"}"#),
            (r#"{"login":"ann","password":"x"}"#, r#"{"login":"ann","password":"correct horse"}"#),
            (r#"{"login":"bob","password":"x"}"#, r#"{"login":"bob","password":"x"}"#),
            ("TEST", "TEST"),
        ] {
            let found = learned.put(&frame(Sender::Client, captured), &fields, None);
            assert_eq!(found.text.as_deref(), Some(put));
        }
    }

    #[test]
    fn values_stand_in_paths_queries_and_headers_too() {
        let (learned, fields) = (learned(), FieldMap::new(&RULES));
        let request = OpenRequest {
            method: "GET".to_owned(),
            uri: "/room/5/history?user=5&limit=5".to_owned(),
            headers: vec![
                ("authorization".to_owned(), "Bearer captured-token".to_owned()),
                ("sec-websocket-protocol".to_owned(), "chat, captured-token".to_owned()),
                ("x-other".to_owned(), "5".to_owned()),
            ],
        };
        let put = learned.put_opening(&request, &fields);
        assert_eq!(put.uri, "/room/8/history?user=71&limit=5");
        let values: Vec<&str> = put.headers.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["Bearer new \"token\"", "chat, new \"token\"", "5"]);
    }

    #[test]
    fn parts_of_forms_and_encoded_parameters_have_the_values_of_the_target() {
        let (mut learned, fields) = (learned(), FieldMap::new(&RULES));
        learned.insert(FieldRole::Token, "captured/token+1", "new/token 1");
        let form = |user: &str| {
            format!(
                "--x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\n{user}\r\n\
                 --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\
                 5\r\n--x--\r\n"
            )
        };
        let request = |body: String| {
            let request = http::Request::post("/room/5/x?token=captured%2Ftoken%2B1&q=a%20b")
                .header("content-type", "multipart/form-data; boundary=x")
                .body(Bytes::from(body))
                .unwrap();
            CapturedFrame::new(1, 0, Sender::Client, &Frame::request(request))
        };
        let put = learned.put(&request(form("5")), &fields, None);
        assert_eq!(put.text, Some(form("71")));
        assert_eq!(put.uri.as_deref(), Some("/room/8/x?token=new%2Ftoken%201&q=a%20b"));
        // The head has them although the body cannot be read.
        let put = learned.put(&request("no form".to_owned()), &fields, None);
        assert_eq!(put.text.as_deref(), Some("no form"));
        assert_eq!(put.uri.as_deref(), Some("/room/8/x?token=new%2Ftoken%201&q=a%20b"));
    }

    #[test]
    fn the_newest_token_replaces_an_older_one_and_the_first_id_stays() {
        let mut learned = Learned::default();
        for new in ["first", "second"] {
            learned.insert(FieldRole::Token, "captured", new);
            learned.insert(FieldRole::User, "captured", new);
        }
        assert_eq!(learned.value(FieldRole::Token, "captured"), Some("second"));
        assert_eq!(learned.value(FieldRole::User, "captured"), Some("first"));
        assert_eq!(learned.ages.len(), 2);
    }

    #[test]
    fn the_oldest_values_are_forgotten() {
        let mut learned = Learned { max: 5, ..Learned::default() };
        (1..=6).for_each(|number| {
            learned.insert(FieldRole::Message, &number.to_string(), "7");
        });
        assert_eq!(learned.len(), 5);
        assert_eq!(learned.value(FieldRole::Message, "1"), None);
        assert_eq!(learned.value(FieldRole::Message, "2"), Some("7"));
    }
}
