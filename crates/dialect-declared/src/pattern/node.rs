//! The tree of a pattern.

use crate::problem::Place;
use crate::syntax::Value;

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: NodeKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeKind {
    /// A constant that is no list and no object.
    Constant(Value<'static>),
    /// A text with holes.
    Text(Vec<TextPart>),
    Hole(Hole),
    Object(Vec<Member>),
    List(List),
    /// `@part`, with what is laid over it.
    Part(String, Option<Box<Node>>),
    /// Takes a key away from what this is laid over.
    Absent,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TextPart {
    Literal(String),
    Hole(Hole),
}

/// `<path: form | form = default>`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hole {
    pub(crate) place: Place,
    /// `None` for `_`.
    pub(crate) path: Option<Vec<String>>,
    pub(crate) forms: Vec<FormText>,
    pub(crate) default: Option<Value<'static>>,
}

/// A form as it is written: a name, and an argument in brackets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FormText {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) argument: Option<Value<'static>>,
}

/// One key of an object with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    /// The first is written, all are read.
    pub(crate) keys: Vec<String>,
    /// `?`: left out for none.
    pub(crate) is_optional: bool,
    /// `!`: must be there, and equal if it is a constant.
    pub(crate) is_required: bool,
    /// `+`: what is laid over the envelope is laid over this object.
    pub(crate) takes_layers: bool,
    pub(crate) node: Node,
}

/// A list.
#[expect(clippy::enum_variant_names, reason = "an object in a list is written so on the wire")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum List {
    /// Items one by one, and the number of the one with `+`, over which what is laid over the
    /// envelope is laid.
    Fixed(Vec<Node>, Option<usize>),
    /// `[before, each path: item]`
    Each { before: Vec<Node>, path: Vec<String>, item: Box<Node> },
    /// `each path: item` without brackets: the item where there is one.
    OneOrMany { path: Vec<String>, item: Box<Node> },
    /// `one path: item`: exactly one.
    One { path: Vec<String>, item: Box<Node> },
    /// `with path: item`: the item of an optional object, or null.
    With { path: Vec<String>, item: Box<Node> },
    /// `[with path: item]`: a list of none or one.
    WithInList { path: Vec<String>, item: Box<Node> },
}

impl Node {
    pub(crate) fn object(place: Place, members: Vec<Member>) -> Self {
        Self { place, kind: NodeKind::Object(members) }
    }
}
