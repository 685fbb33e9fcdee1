//! The values that a server gives in place of those in a capture.

use crate::fields::{
    FrameRules, PartOfText, PlaceInBody, RoleOfPart, Route, any_leaf, is_made_by_server, part_of,
    signature,
};
use crate::payload::{Document, Leaf, Node, payload_of};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use tolmach_capture::{CapturedFrame, Headers, OpenRequest, Sender};
use tolmach_dialect::{FieldRole, FieldRule};

/// The most values that are known at a time. Beyond it the oldest are forgotten.
const MAX_VALUES: usize = 1 << 20;
/// The shortest token that is put in place wherever it stands, in bytes.
const MIN_TOKEN: usize = 8;

/// Ids, tokens and times of the captured server, each with what the target has instead.
///
/// A value is known by its role and its text: the user 5 is not the flow 5, and an id that is a
/// number here and a text there is one. What was learned first stays.
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
        Self::new(HashMap::new())
    }
}

impl Learned {
    /// Nothing is known but these passwords by login.
    pub fn new(passwords: HashMap<String, String>) -> Self {
        Self { max: MAX_VALUES, values: HashMap::new(), ages: VecDeque::new(), passwords }
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
        rules: &'static [FieldRule],
        route: Option<&Route>,
    ) -> CapturedFrame {
        let mut put = frame.clone();
        let payload = payload_of(frame);
        let document = Document::new(&payload);
        let root = document.as_ref().and_then(Document::root);
        let rules = FrameRules::new(rules, Sender::Client, route, root.as_ref());
        if let (Some(document), Some(root)) = (&document, &root) {
            let mut pieces = Vec::new();
            let password = self.password(root, &rules);
            self.pieces(root, &rules.body(), password, &mut pieces);
            if !pieces.is_empty() {
                put.text = Some(document.replaced(&pieces));
            }
        }
        put.uri = frame.uri.as_ref().map(|uri| self.put_uri(uri, &rules));
        put.headers = self.put_headers(&frame.headers, &rules);
        put
    }

    /// The request of a handshake with the target's values.
    pub(crate) fn put_opening(
        &self,
        request: &OpenRequest,
        rules: &'static [FieldRule],
    ) -> OpenRequest {
        let route = Route::new(&request.method, &request.uri);
        let rules = FrameRules::new(rules, Sender::Client, Some(&route), None);
        OpenRequest {
            method: request.method.clone(),
            uri: self.put_uri(&request.uri, &rules),
            headers: self.put_headers(&request.headers, &rules),
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
        if self.values.contains_key(&key) {
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
    fn password(&self, root: &Node<'_>, rules: &FrameRules) -> Option<&str> {
        if self.passwords.is_empty() {
            return None;
        }
        let mut found = None;
        for place in rules.places_of(&[FieldRole::Name, FieldRole::Contact]) {
            any_leaf(root, place, &mut |text| {
                found = self.passwords.get(text).map(String::as_str);
                found.is_some()
            });
            if found.is_some() {
                break;
            }
        }
        found
    }

    fn pieces(
        &self,
        node: &Node<'_>,
        place: &PlaceInBody,
        password: Option<&str>,
        pieces: &mut Vec<(Range<usize>, String)>,
    ) {
        match node {
            Node::Object(members) => {
                for (key, value) in members {
                    self.pieces(value, &place.key(key), password, pieces);
                }
            }
            Node::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.pieces(item, &place.item(index), password, pieces);
                }
            }
            Node::Leaf(leaf) => {
                let new = self.new_text(&leaf.text(), place.role(), password);
                pieces.extend(new.map(|new| (leaf.span.clone(), leaf.in_form(&new))));
            }
        }
    }

    /// The text in place of another one with a role; `None` if it stays.
    fn new_text(
        &self,
        text: &str,
        role: Option<RoleOfPart>,
        password: Option<&str>,
    ) -> Option<String> {
        let by_role = role.and_then(|(role, part)| {
            let PartOfText { before, inner, after } = part_of(text.into(), part)?;
            let new = match (role, password) {
                (FieldRole::Secret, Some(password)) => password,
                _ => self.value(role, &inner)?,
            };
            Some(format!("{before}{new}{after}"))
        });
        by_role.or_else(|| self.token(text).map(str::to_owned))
    }

    fn put_uri(&self, uri: &str, rules: &FrameRules) -> String {
        let (path, query) = match uri.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (uri, None),
        };
        let segment = |(index, segment): (usize, &str)| {
            let index = index.checked_sub(1);
            let role = index.and_then(|index| rules.segment(path, index));
            self.new_text(segment, role, None).unwrap_or_else(|| segment.to_owned())
        };
        let mut put = path.split('/').enumerate().map(segment).collect::<Vec<_>>().join("/");
        if let Some(query) = query {
            let parameter = |parameter: &str| match parameter.split_once('=') {
                Some((name, value)) => {
                    let new = self.new_text(value, rules.query(name), None);
                    format!("{name}={}", new.as_deref().unwrap_or(value))
                }
                None => parameter.to_owned(),
            };
            put.push('?');
            put.push_str(&query.split('&').map(parameter).collect::<Vec<_>>().join("&"));
        }
        put
    }

    fn put_headers(&self, headers: &Headers, rules: &FrameRules) -> Headers {
        let put = |(name, value): &(String, String)| {
            let by_role = self.new_text(value, rules.header(name), None);
            (name.clone(), by_role.unwrap_or_else(|| self.put_tokens(value)))
        };
        headers.iter().map(put).collect()
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
    use tolmach_dialect::{Frame, Place};

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
        let mut learned = Learned::new(passwords.into());
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
        let learned = learned();
        for (captured, put) in [
            (r#"{ "user": 5, "n": 5 }"#, r#"{ "user": 71, "n": 5 }"#),
            (r#"{"user":"5","room":"6"}"#, r#"{"user":"71","room":"9"}"#),
            (r#"{'room': 5, 'since': 1.5}"#, r#"{'room': 8, 'since': 2.5}"#),
            (r#"{"user":6,"room":0}"#, r#"{"user":6,"room":0}"#),
            (r#"{"any":["captured-token"]}"#, r#"{"any":["new \"token\""]}"#),
            (r#"{"login":"ann","password":"x"}"#, r#"{"login":"ann","password":"correct horse"}"#),
            (r#"{"login":"bob","password":"x"}"#, r#"{"login":"bob","password":"x"}"#),
            ("TEST", "TEST"),
        ] {
            let found = learned.put(&frame(Sender::Client, captured), &RULES, None);
            assert_eq!(found.text.as_deref(), Some(put));
        }
    }

    #[test]
    fn values_stand_in_paths_queries_and_headers_too() {
        let learned = learned();
        let request = OpenRequest {
            method: "GET".to_owned(),
            uri: "/room/5/history?user=5&limit=5".to_owned(),
            headers: vec![
                ("authorization".to_owned(), "Bearer captured-token".to_owned()),
                ("sec-websocket-protocol".to_owned(), "chat, captured-token".to_owned()),
                ("x-other".to_owned(), "5".to_owned()),
            ],
        };
        let put = learned.put_opening(&request, &RULES);
        assert_eq!(put.uri, "/room/8/history?user=71&limit=5");
        let values: Vec<&str> = put.headers.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["Bearer new \"token\"", "chat, new \"token\"", "5"]);
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
