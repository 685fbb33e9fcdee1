//! Laying objects over each other.

use super::node::{List, Member, Node, NodeKind};

/// Lays `upper` over `lower`: objects merge key by key in the lower one's order, anything else
/// replaces. Where an object or an item of the lower one takes layers (`+`), `upper` is laid over
/// that.
pub(crate) fn lay_over(lower: &Node, upper: &Node) -> Node {
    match (&lower.kind, &upper.kind) {
        (NodeKind::Object(lower_members), NodeKind::Object(upper_members)) => {
            let members = match lower_members.iter().position(|member| member.takes_layers) {
                Some(inner) => {
                    let mut members = lower_members.clone();
                    members[inner].node = lay_over(&members[inner].node, upper);
                    members
                }
                None => merged(lower_members, upper_members),
            };
            Node { place: upper.place.clone(), kind: NodeKind::Object(members) }
        }
        (NodeKind::List(List::Fixed(items, Some(inner))), _) => {
            let mut items = items.clone();
            items[*inner] = lay_over(&items[*inner], upper);
            let kind = NodeKind::List(List::Fixed(items, Some(*inner)));
            Node { place: upper.place.clone(), kind }
        }
        _ => upper.clone(),
    }
}

fn merged(lower: &[Member], upper: &[Member]) -> Vec<Member> {
    let mut members: Vec<Member> = lower.to_vec();
    for member in upper {
        let same = members.iter().position(|other| other.keys[0] == member.keys[0]);
        match (same, &member.node.kind) {
            (Some(place), NodeKind::Absent) => {
                members.remove(place);
            }
            (None, NodeKind::Absent) => {}
            (Some(place), _) => {
                let node = lay_over(&members[place].node, &member.node);
                members[place] = Member { node, ..member.clone() };
            }
            (None, _) => members.push(member.clone()),
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::parse;
    use crate::syntax::Syntax;

    fn pattern(text: &str) -> Node {
        parse(text, 0, Syntax::Json).unwrap()
    }

    /// The keys of a pattern, nested.
    fn keys(node: &Node) -> String {
        match &node.kind {
            NodeKind::Object(members) => {
                let members =
                    members.iter().map(|member| member.keys[0].clone() + &keys(&member.node));
                format!("{{{}}}", members.collect::<Vec<_>>().join(" "))
            }
            NodeKind::List(List::Fixed(items, _)) => {
                format!("[{}]", items.iter().map(keys).collect::<Vec<_>>().join(","))
            }
            _ => String::new(),
        }
    }

    #[test]
    fn objects_merge_key_by_key_in_the_lower_order() {
        for (lower, upper, expected) in [
            (r#"{"a": 1, "b": {"c": 2}}"#, r#"{"b": {"d": 3}, "e": 4}"#, "{a b{c d} e}"),
            (r#"{"a": {"b": 1}}"#, r#"{"a": 2}"#, "{a}"),
            (r#"{"a": 1, "b": 2}"#, r#"{"a": absent}"#, "{b}"),
            (r#"{"stream": 1, "payload"+: {"a": 1}}"#, r#"{"b": 2}"#, "{stream payload{a b}}"),
            (r#"[1, +{"a": 1}, 2]"#, r#"{"b": 2}"#, "[,{a b},]"),
            (r#"{"m"+: [1, +{}], "n": 1}"#, r#"{"b": 2}"#, "{m[,{b}] n}"),
            (r#"[1, {"a": 1}]"#, r#"{"b": 2}"#, "{b}"),
        ] {
            assert_eq!(keys(&lay_over(&pattern(lower), &pattern(upper))), expected, "{upper}");
        }
    }
}
