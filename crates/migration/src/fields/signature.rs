//! Signatures: hashes of values that do not tell ids, tokens and times apart.

use crate::fields::places::PlaceInBody;
use crate::fields::value::{Value, value_of};
use crate::payload::Node;
use std::hash::{DefaultHasher, Hash, Hasher};
use tolmach_dialect::FieldRole;

/// An id of a kind of object, as its wire writes it.
pub(crate) type Id = (FieldRole, Box<str>);

/// A hash of a value that does not tell ids, tokens and times apart.
pub(crate) fn signature(node: &Node<'_>, place: &PlaceInBody) -> u64 {
    let mut hasher = DefaultHasher::new();
    add_to_signature(node, place, &mut hasher, &mut Vec::new());
    hasher.finish()
}

/// Adds a value to the hash, and its ids to the list. The order of an object's keys does not count.
pub(crate) fn add_to_signature(
    node: &Node<'_>,
    place: &PlaceInBody,
    hasher: &mut DefaultHasher,
    ids: &mut Vec<Id>,
) {
    match node {
        Node::Object(members) => {
            b'{'.hash(hasher);
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            for (key, value) in sorted {
                key.hash(hasher);
                add_to_signature(value, &place.key(key), hasher, ids);
            }
            b'}'.hash(hasher);
        }
        Node::List(items) => {
            b'['.hash(hasher);
            for (index, item) in items.iter().enumerate() {
                add_to_signature(item, &place.item(index), hasher, ids);
            }
            b']'.hash(hasher);
        }
        Node::Leaf(leaf) => {
            leaf.is_text().hash(hasher);
            match value_of(leaf, place.role()) {
                Value::Plain(text) => (0_u8, text).hash(hasher),
                Value::Noise(form) => (1_u8, form).hash(hasher),
                Value::Id(role, id) => {
                    (2_u8, role).hash(hasher);
                    ids.push((role, id.into()));
                }
            }
        }
    }
}
