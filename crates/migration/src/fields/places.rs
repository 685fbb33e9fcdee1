//! The roles of the values of one frame, by the field rules of its dialect.

use crate::payload::Node;
use std::borrow::Cow;
use tolmach_dialect::{Condition, FieldRole, FieldRule, Part, Place, Sender};

/// The method and the path of the request that a frame is, answers, or has its WebSocket from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// The method; empty if it is not known.
    pub(crate) method: String,
    /// The path, without the query.
    pub(crate) path: String,
}

impl Route {
    /// The route of a method and an address.
    pub(crate) fn new(method: &str, uri: &str) -> Self {
        let path = uri.split(['?', '#']).next().unwrap_or_default();
        // The form of proxies has scheme and host.
        let path = match path.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
            None => path,
        };
        Self { method: method.to_owned(), path: path.to_owned() }
    }
}

/// The role of a value, with the part of it that has the role.
pub(crate) type RoleOfPart = (FieldRole, Part);

/// The rules that apply to one frame.
#[derive(Debug)]
pub(crate) struct FrameRules(Vec<&'static FieldRule>);

impl FrameRules {
    /// Those of `rules` that apply to a frame of this side, with this body.
    pub(crate) fn new(
        rules: &'static [FieldRule],
        sender: Sender,
        route: Option<&Route>,
        body: Option<&Node<'_>>,
    ) -> Self {
        let applies = |rule: &&FieldRule| {
            rule.sender.is_none_or(|of| of == sender)
                && match rule.condition {
                    Condition::Always => true,
                    Condition::Value(place, texts) => body.is_some_and(|body| {
                        any_leaf(body, place, &mut |text| texts.contains(&text))
                    }),
                    Condition::Route(method, pattern) => route.is_some_and(|route| {
                        method.is_none_or(|method| method == route.method)
                            && path_fits(pattern, &route.path)
                    }),
                }
        };
        Self(rules.iter().filter(applies).collect())
    }

    /// The place of the whole body.
    pub(crate) fn body(&self) -> PlaceInBody {
        let places = self.0.iter().filter_map(|rule| match rule.place {
            Place::Body(path) => Some((*rule, path)),
            _ => None,
        });
        PlaceInBody(places.collect())
    }
}

/// A place in a body: the rules that go on below it, each with the rest of its path.
#[derive(Debug, Clone)]
pub(crate) struct PlaceInBody(Vec<(&'static FieldRule, &'static str)>);

impl PlaceInBody {
    /// The place of the value of a key.
    pub(crate) fn key(&self, key: &str) -> Self {
        let below = self.0.iter().filter_map(|(rule, path)| {
            let (first, rest) = path.split_once('/').unwrap_or((path, ""));
            let fits = !first.is_empty() && (first == "*" || first == key);
            fits.then_some((*rule, rest))
        });
        Self(below.collect())
    }

    /// The place of an item of a list, with its index from 0.
    pub(crate) fn item(&self, index: usize) -> Cow<'_, Self> {
        if !self.0.iter().any(|(_, path)| path.starts_with('[')) {
            return Cow::Borrowed(self);
        }
        let below = self.0.iter().filter_map(|(rule, path)| {
            let (first, rest) = path.split_once('/').unwrap_or((path, ""));
            match first.strip_prefix('[').and_then(|first| first.strip_suffix(']')) {
                Some(own) => (own.parse() == Ok(index)).then_some((*rule, rest)),
                None => Some((*rule, *path)),
            }
        });
        Cow::Owned(Self(below.collect()))
    }

    /// The role of the value at this place.
    pub(crate) fn role(&self) -> Option<RoleOfPart> {
        let own = self.0.iter().find(|(_, path)| path.is_empty());
        own.map(|(rule, _)| (rule.role, rule.part))
    }
}

/// The places of the values by which conditions tell frames apart, each once: where frames have
/// their names.
pub(crate) fn name_places(rules: &'static [FieldRule]) -> Vec<&'static str> {
    let mut places = Vec::new();
    for rule in rules {
        if let Condition::Value(place, _) = rule.condition
            && !places.contains(&place)
        {
            places.push(place);
        }
    }
    for usual in ["mode", "type", "action"] {
        if !places.contains(&usual) {
            places.push(usual);
        }
    }
    places
}

/// Calls `is_wanted` with the text of each leaf at a place; true if one is.
pub(crate) fn any_leaf(
    node: &Node<'_>,
    place: &str,
    is_wanted: &mut dyn FnMut(&str) -> bool,
) -> bool {
    match node {
        Node::Leaf(leaf) => place.is_empty() && is_wanted(&leaf.text()),
        Node::List(items) => items.iter().any(|item| any_leaf(item, place, is_wanted)),
        Node::Object(members) => {
            let (first, rest) = place.split_once('/').unwrap_or((place, ""));
            let mut own = members.iter().filter(|(key, _)| first == "*" || key == first);
            own.any(|(_, value)| any_leaf(value, rest, is_wanted))
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

/// True if a path is one of a pattern: `*` and `{}` are any segment, `**` is any rest.
fn path_fits(pattern: &str, path: &str) -> bool {
    let mut own = segments(path);
    for part in segments(pattern) {
        match (part, own.next()) {
            ("**", _) => return true,
            ("*" | "{}", Some(segment)) if !segment.is_empty() => {}
            (part, Some(segment)) if part == segment => {}
            _ => return false,
        }
    }
    own.next().is_none_or(|rest| rest.is_empty() && own.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Document;

    static RULES: [FieldRule; 5] = [
        FieldRule::body("user/id", FieldRole::User).from(Sender::Client),
        FieldRule::body("rooms/id", FieldRole::Flow).when(Condition::Value("type", &["all", "3"])),
        FieldRule::body("row/[1]", FieldRole::Message),
        FieldRule::body("any/*/at", FieldRole::Time),
        FieldRule::body("id", FieldRole::Flow).when(Condition::Route(Some("GET"), "/api/room/*")),
    ];

    fn role(sender: Sender, body: &str, path: &[&str]) -> Option<FieldRole> {
        let document = Document::new(body.as_bytes()).unwrap();
        let root = document.root().unwrap();
        let route = Route::new("GET", "/api/room/5?limit=1");
        let rules = FrameRules::new(&RULES, sender, Some(&route), Some(&root));
        let place = path.iter().fold(rules.body(), |place, step| match step.parse() {
            Ok(index) => place.item(index).into_owned(),
            Err(_) => place.key(step),
        });
        place.role().map(|(role, _)| role)
    }

    #[test]
    fn a_value_has_the_role_of_the_rule_that_fits_its_place() {
        use Sender::{Client, Server};
        for (sender, body, path, expected) in [
            (Client, "{}", &["user", "id"][..], Some(FieldRole::User)),
            (Server, "{}", &["user", "id"], None),
            (Client, "{}", &["user"], None),
            (Server, "{\"type\":\"all\"}", &["rooms", "0", "id"], Some(FieldRole::Flow)),
            (Server, "{\"type\":3}", &["rooms", "0", "1", "id"], Some(FieldRole::Flow)),
            (Server, "{\"type\":\"one\"}", &["rooms", "0", "id"], None),
            (Server, "{}", &["row", "1"], Some(FieldRole::Message)),
            (Server, "{}", &["row", "0"], None),
            (Server, "{}", &["any", "thing", "at"], Some(FieldRole::Time)),
            (Server, "{}", &["id"], Some(FieldRole::Flow)),
        ] {
            assert_eq!(role(sender, body, path), expected, "{sender:?} {body} {path:?}");
        }
    }

    #[test]
    fn a_route_has_the_path_alone() {
        for (uri, path) in
            [("/a/b?c=d", "/a/b"), ("http://host:1/a?b", "/a"), ("http://host", "/"), ("/", "/")]
        {
            assert_eq!(Route::new("GET", uri).path, path, "{uri}");
        }
    }
}
