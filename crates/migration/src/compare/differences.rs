//! The fields in which two frames differ.

use crate::compare::id_map::{IdMap, IdsOfFrame};
use crate::compare::normal::{COMPARED_HEADERS, comparable_header, values_of};
use crate::fields::{FrameRules, PlaceInBody, Route, Value, same_but_numbers, signature, value_of};
use crate::payload::{Document, Leaf, Node};
use crate::report::FieldDifference;
use std::collections::BTreeMap;
use tolmach_capture::{CapturedFrame, Sender};
use tolmach_dialect::{FieldRole, FieldRule};

/// The most fields of two frames that are named.
const MAX_FIELDS: usize = 50;
/// The longest value that is named, in characters.
const MAX_VALUE: usize = 200;

/// One frame with its payload.
pub(crate) type Payload<'f> = (&'f CapturedFrame, &'f [u8]);

/// The fields in which two frames of servers differ; none if they are the same but for ids, tokens
/// and times.
pub(crate) fn differences(
    a: Payload<'_>,
    b: Payload<'_>,
    rules: &'static [FieldRule],
    route: Option<&Route>,
    ids: &IdMap,
) -> Vec<FieldDifference> {
    let mut found = Found { ids: IdsOfFrame::new(ids), fields: Vec::new() };
    let text = |kind: &dyn std::fmt::Debug| Some(format!("{kind:?}").to_ascii_lowercase());
    if a.0.kind != b.0.kind {
        found.add("kind", text(&a.0.kind), text(&b.0.kind));
    }
    if a.0.status != b.0.status {
        let status = |frame: Payload<'_>| frame.0.status.map(|status| status.to_string());
        found.add("status", status(a), status(b));
    }
    for name in COMPARED_HEADERS {
        let of = |frame: Payload<'_>| -> Vec<String> {
            values_of(frame.0, name).map(|value| comparable_header(name, value)).collect()
        };
        let (of_a, of_b) = (of(a), of(b));
        if of_a != of_b {
            let joined = |values: Vec<String>| (!values.is_empty()).then(|| values.join(", "));
            found.add(&format!("header {name}"), joined(of_a), joined(of_b));
        }
    }
    let (document_a, document_b) = (Document::new(a.1), Document::new(b.1));
    let root_a = document_a.as_ref().and_then(Document::root);
    let root_b = document_b.as_ref().and_then(Document::root);
    match (&root_a, &root_b) {
        (Some(root_a), Some(root_b)) => {
            let place = |root| FrameRules::new(rules, Sender::Server, route, Some(root)).body();
            found.values("", (root_a, &place(root_a)), (root_b, &place(root_b)));
        }
        _ if a.1 == b.1 => {}
        _ => {
            let shown = |payload: &[u8]| Some(shorten(&String::from_utf8_lossy(payload)));
            found.add("body", shown(a.1), shown(b.1));
        }
    }
    found.fields
}

/// A value with its place.
type Placed<'v, 'd> = (&'v Node<'d>, &'v PlaceInBody);

struct Found<'i> {
    ids: IdsOfFrame<'i>,
    fields: Vec<FieldDifference>,
}

impl Found<'_> {
    fn add(&mut self, path: &str, a: Option<String>, b: Option<String>) {
        self.push(FieldDifference { path: path.to_owned(), a, b, order: false });
    }

    fn push(&mut self, difference: FieldDifference) {
        if self.fields.len() < MAX_FIELDS {
            self.fields.push(difference);
        }
    }

    fn values(&mut self, path: &str, a: Placed<'_, '_>, b: Placed<'_, '_>) {
        match (a.0, b.0) {
            (Node::Object(of_a), Node::Object(of_b)) => {
                for (key, value) in of_a {
                    let path = below(path, key);
                    match b.0.get(key) {
                        Some(other) => {
                            self.values(&path, (value, &a.1.key(key)), (other, &b.1.key(key)));
                        }
                        None => self.add(&path, Some(shown(value)), None),
                    }
                }
                for (key, value) in of_b {
                    if a.0.get(key).is_none() {
                        self.add(&below(path, key), None, Some(shown(value)));
                    }
                }
            }
            (Node::List(of_a), Node::List(of_b)) => self.lists(path, (of_a, a.1), (of_b, b.1)),
            (Node::Leaf(of_a), Node::Leaf(of_b)) => {
                if !self.is_same(of_a, a.1, of_b, b.1) {
                    self.add(path, Some(shown(a.0)), Some(shown(b.0)));
                }
            }
            _ => self.add(path, Some(shown(a.0)), Some(shown(b.0))),
        }
    }

    fn is_same(
        &mut self,
        a: &Leaf<'_>,
        of_a: &PlaceInBody,
        b: &Leaf<'_>,
        of_b: &PlaceInBody,
    ) -> bool {
        if a.is_text() != b.is_text() {
            return false;
        }
        match (value_of(a, of_a.role()), value_of(b, of_b.role())) {
            (Value::Id(role_a, a), Value::Id(role_b, b)) => {
                self.ids.agree(&(role_a, a.into()), &(role_b, b.into()))
            }
            (Value::Plain(text_a), Value::Plain(text_b)) => {
                let is_pair = |a: &str, b: &str| self.ids.known().is_pair_of_any_kind(a, b);
                let is_sentence = a.is_text() && [of_a, of_b].into_iter().all(is_of_server);
                text_a == text_b || (is_sentence && same_but_numbers(&text_a, &text_b, &is_pair))
            }
            (a, b) => a == b,
        }
    }

    fn lists(
        &mut self,
        path: &str,
        (a, of_a): (&[Node<'_>], &PlaceInBody),
        (b, of_b): (&[Node<'_>], &PlaceInBody),
    ) {
        let signatures = |items: &[Node<'_>], place: &PlaceInBody| -> Vec<u64> {
            let items = items.iter().enumerate();
            items.map(|(index, item)| signature(item, &place.item(index))).collect()
        };
        let (signatures_a, signatures_b) = (signatures(a, of_a), signatures(b, of_b));
        if signatures_a == signatures_b {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                self.values(path, (a, &of_a.item(index)), (b, &of_b.item(index)));
            }
            return;
        }
        let (rest_a, rest_b) = unpaired(&signatures_a, &signatures_b);
        if rest_a.is_empty() && rest_b.is_empty() {
            self.push(FieldDifference {
                path: path.to_owned(),
                a: Some(list(a)),
                b: Some(list(b)),
                order: true,
            });
        }
        for pair in 0..rest_a.len().max(rest_b.len()) {
            match (rest_a.get(pair), rest_b.get(pair)) {
                (Some(at_a), Some(at_b)) => self.values(
                    path,
                    (&a[*at_a], &of_a.item(*at_a)),
                    (&b[*at_b], &of_b.item(*at_b)),
                ),
                (Some(at_a), None) => self.add(path, Some(shown(&a[*at_a])), None),
                (None, Some(at_b)) => self.add(path, None, Some(shown(&b[*at_b]))),
                (None, None) => {}
            }
        }
    }
}

/// True for a place whose texts the server words, so that they may name ids. What people write and
/// are called is the same on both servers.
fn is_of_server(place: &PlaceInBody) -> bool {
    matches!(place.role(), None | Some((FieldRole::Word, _)))
}

/// The places of the items of two lists that have no equal in the other one.
fn unpaired(a: &[u64], b: &[u64]) -> (Vec<usize>, Vec<usize>) {
    let mut free: BTreeMap<u64, usize> = BTreeMap::new();
    b.iter().for_each(|item| *free.entry(*item).or_default() += 1);
    let mut paired: BTreeMap<u64, usize> = BTreeMap::new();
    let mut rest_a = Vec::new();
    for (index, item) in a.iter().enumerate() {
        match free.get_mut(item) {
            Some(count) if *count > 0 => {
                *count -= 1;
                *paired.entry(*item).or_default() += 1;
            }
            _ => rest_a.push(index),
        }
    }
    let mut rest_b = Vec::new();
    for (index, item) in b.iter().enumerate() {
        match paired.get_mut(item) {
            Some(count) if *count > 0 => *count -= 1,
            _ => rest_b.push(index),
        }
    }
    (rest_a, rest_b)
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") }
}

/// A value in short.
fn shown(node: &Node<'_>) -> String {
    match node {
        Node::Leaf(leaf) => shorten(leaf.raw),
        Node::List(items) => list(items),
        Node::Object(members) => {
            let members = members.iter().take(8);
            let members: Vec<String> =
                members.map(|(key, value)| format!("{key}: {}", shown(value))).collect();
            shorten(&format!("{{{}}}", members.join(", ")))
        }
    }
}

fn list(items: &[Node<'_>]) -> String {
    let items: Vec<String> = items.iter().take(8).map(shown).collect();
    shorten(&format!("[{}]", items.join(", ")))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect::Frame;

    static RULES: [FieldRule; 5] = [
        FieldRule::body("user", FieldRole::User),
        FieldRule::body("name", FieldRole::Name),
        FieldRule::body("text", FieldRole::Text),
        FieldRule::body("list/id", FieldRole::Message),
        FieldRule::body("at", FieldRole::Time),
    ];

    fn found(a: &str, b: &str) -> Vec<String> {
        let mut ids = IdMap::default();
        ids.learn(&(FieldRole::User, "5".into()), &(FieldRole::User, "7".into()));
        let line =
            |text: &str| CapturedFrame::new(1, 0, Sender::Server, &Frame::text(text.to_owned()));
        let (line_a, line_b) = (line(a), line(b));
        let fields =
            differences((&line_a, a.as_bytes()), (&line_b, b.as_bytes()), &RULES, None, &ids);
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        fields
            .into_iter()
            .map(|field| {
                let order = if field.order { " order" } else { "" };
                format!("{}: {} {}{order}", field.path, text(field.a), text(field.b))
            })
            .collect()
    }

    #[test]
    fn fields_that_differ_are_named_and_noise_is_not() {
        for (a, b, expected) in [
            (r#"{"a":1,"b":2}"#, r#"{ "b": 2, "a": 1 }"#, &[][..]),
            (r#"{"user":5,"at":1.5}"#, r#"{"user":7,"at":2}"#, &[]),
            (
                r#"{"list":[{"id":1},{"id":2}]}"#,
                r#"{"list":[{"id":3},{"id":3}]}"#,
                &["list/id: 2 3"],
            ),
            (r#"{"user":5}"#, r#"{"user":8}"#, &["user: 5 8"]),
            (r#"{"user":5}"#, r#"{"user":"7"}"#, &["user: 5 \"7\""]),
            (r#"{"at":1.5}"#, r#"{"at":null}"#, &["at: 1.5 null"]),
            (r#"{"a":"left 5"}"#, r#"{"a":"left 7"}"#, &[]),
            (r#"{"status":5}"#, r#"{"status":7}"#, &["status: 5 7"]),
            (r#"{"a":"5"}"#, r#"{"a":"7"}"#, &["a: \"5\" \"7\""]),
            (r#"{"text":"by 5"}"#, r#"{"text":"by 7"}"#, &["text: \"by 5\" \"by 7\""]),
            (r#"{"name":"n5"}"#, r#"{"name":"n7"}"#, &["name: \"n5\" \"n7\""]),
            (r#"{"a":"x"}"#, r#"{"a":"y"}"#, &["a: \"x\" \"y\""]),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"c":1}}"#, &["a/b: 1 -", "a/c: - 1"]),
            (r#"{"a":[1,2,3]}"#, r#"{"a":[1,3]}"#, &["a: 2 -"]),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, &["a: [1, 2] [2, 1] order"]),
            (r#"{"a":[{"b":1},{"b":2}]}"#, r#"{"a":[{"b":1},{"b":3}]}"#, &["a/b: 2 3"]),
            (r#"{"list":[{"id":1}]}"#, r#"{"list":[{"id":9}]}"#, &[]),
            (r#"{"a":[]}"#, r#"{"a":{}}"#, &["a: [] {}"]),
            ("TEST", "TSET", &[": TEST TSET"]),
            ("not: json", "not json", &["body: not: json not json"]),
        ] {
            assert_eq!(found(a, b), expected, "{a} {b}");
        }
    }
}
