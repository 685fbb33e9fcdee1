//! Differences by which requests are told apart.

use crate::forms::Tables;
use crate::plan::{Condition, ListKind, Plan, PlanMember, Slot, SlotSource, Test, TextPlan};
use crate::syntax::{Kind, Value, item_key};

/// The most keys on the way to a part that tells requests apart.
const MAX_DEPTH: usize = 6;

/// The value that a frame has at one place.
#[derive(Debug, Clone, PartialEq)]
struct Feature {
    path: Vec<String>,
    constant: Option<Value<'static>>,
    /// The kinds that are read there; none for any.
    kinds: Vec<Kind>,
    /// True if a frame without it is refused.
    is_needed: bool,
}

const ALL_KINDS: [Kind; 6] =
    [Kind::Flag, Kind::Integer, Kind::Float, Kind::Text, Kind::List, Kind::Object];

/// The conditions under which a frame is `plan` and not `other`; `None` if one frame can be both.
/// An empty list means that `other` has the condition.
pub(super) fn conditions(plan: &Plan, other: &Plan, tables: &Tables) -> Option<Vec<Condition>> {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    features(plan, tables, &mut Vec::new(), &mut own);
    features(other, tables, &mut Vec::new(), &mut others);
    own.sort_by_key(|feature| feature.path.len());
    let find = |path: &[String]| others.iter().find(|feature| feature.path == path);
    for feature in &own {
        let condition = |test| Some(vec![Condition { path: feature.path.clone(), test }]);
        match (find(&feature.path), &feature.constant) {
            (Some(Feature { constant: Some(other), .. }), Some(constant)) if other != constant => {
                return condition(Test::Equals(constant.clone()));
            }
            (Some(other), _) if feature.is_needed && are_disjoint(&feature.kinds, &other.kinds) => {
                return condition(Test::Kinds(feature.kinds.clone()));
            }
            (None, _) if feature.is_needed => return condition(Test::Kinds(ALL_KINDS.to_vec())),
            _ => {}
        }
    }
    let lacks = |path: &[String]| !own.iter().any(|feature| feature.path == path);
    let is_other_needed = others.iter().any(|other| other.is_needed && lacks(&other.path));
    is_other_needed.then(Vec::new)
}

fn are_disjoint(a: &[Kind], b: &[Kind]) -> bool {
    !a.is_empty() && !b.is_empty() && !a.iter().any(|kind| b.contains(kind))
}

fn features(plan: &Plan, tables: &Tables, path: &mut Vec<String>, out: &mut Vec<Feature>) {
    if path.len() == MAX_DEPTH {
        return;
    }
    if let Plan::Fixed(items) = plan {
        for (index, item) in items.iter().enumerate() {
            path.push(item_key(index));
            out.push(Feature { path: path.clone(), ..feature_of(item, tables) });
            features(item, tables, path, out);
            path.pop();
        }
    }
    let Plan::Object(members) = plan else { return };
    for member in members {
        path.push(member.keys[0].clone());
        out.push(Feature { path: path.clone(), ..feature(member, tables) });
        if !member.is_optional && member.keys.len() == 1 {
            features(&member.plan, tables, path, out);
        }
        path.pop();
    }
}

fn feature(member: &PlanMember, tables: &Tables) -> Feature {
    let feature = feature_of(&member.plan, tables);
    // Several keys: none of them is needed.
    let is_needed = member.is_required || (feature.is_needed && !member.is_optional);
    Feature { is_needed: is_needed && member.keys.len() == 1, ..feature }
}

/// The feature of a value, without its path.
fn feature_of(plan: &Plan, tables: &Tables) -> Feature {
    let needs = |slot: &Slot| {
        slot.default.is_none() && !slot.is_optional && slot.source != SlotSource::Nothing
    };
    let (constant, kinds, is_needed) = match plan {
        Plan::Constant(value, _) => (Some(value.clone()), vec![value.kind()], false),
        Plan::Text(parts) => {
            let is_needed = parts.iter().any(|part| match part {
                TextPlan::Slot(slot) => needs(slot),
                TextPlan::Literal(_) => false,
            });
            (None, vec![Kind::Text], is_needed)
        }
        Plan::Slot(slot) => {
            let kinds = slot.forms.iter().map(|form| {
                ALL_KINDS.into_iter().filter(|kind| form.accepts(*kind, slot.of, tables))
            });
            (None, kinds.flatten().collect(), needs(slot))
        }
        Plan::Object(_) => (None, vec![Kind::Object], needs_any(plan)),
        Plan::Fixed(_) => (None, vec![Kind::List], needs_any(plan)),
        Plan::List(list) => {
            let kinds = match list.kind {
                ListKind::Each | ListKind::WithInList => vec![Kind::List],
                _ => Vec::new(),
            };
            (None, kinds, !list.slot.is_optional && list.kind != ListKind::With)
        }
    };
    Feature { path: Vec::new(), constant, kinds, is_needed }
}

/// True if a part of it is needed.
fn needs_any(plan: &Plan) -> bool {
    match plan {
        Plan::Object(members) => members
            .iter()
            .any(|member| !member.is_optional && (member.is_required || needs_any(&member.plan))),
        Plan::Fixed(items) => items.iter().any(needs_any),
        Plan::Slot(slot) => {
            slot.default.is_none() && !slot.is_optional && slot.source != SlotSource::Nothing
        }
        Plan::List(list) => !list.slot.is_optional,
        Plan::Constant(..) | Plan::Text(_) => false,
    }
}
