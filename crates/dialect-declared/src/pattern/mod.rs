//! Patterns: frames with holes, as a file writes them.

mod laying;
mod node;
mod parser;

pub(crate) use laying::lay_over;
pub(crate) use node::{FormText, Hole, List, Member, Node, NodeKind, TextPart};
pub(crate) use parser::{parse, parse_path};
