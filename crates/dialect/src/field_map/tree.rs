//! The rules about bodies as a tree of keys.

use crate::field_rule::{Condition, FieldRule, Place, Sender};

/// The rules of one side's bodies, by place.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    /// The first is the root.
    nodes: Vec<Node>,
    /// The values that conditions look at, each with its node and the index of its rule.
    pub(super) conditions: Vec<&'static [&'static str]>,
}

/// A place.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    children: Vec<(Step, usize)>,
    /// The rules of values here, in their order, each with the index of its condition's value.
    pub(super) rules: Vec<(&'static FieldRule, Option<usize>)>,
    /// The indices of the conditions that look here.
    pub(super) conditions: Vec<usize>,
}

/// A step from a place to one below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Key(&'static str),
    AnyKey,
    Item(usize),
}

impl Tree {
    /// The tree of the rules that apply to bodies of a side.
    pub(super) fn new(rules: &'static [FieldRule], sender: Sender) -> Self {
        let mut tree = Self { nodes: vec![Node::default()], conditions: Vec::new() };
        for rule in rules {
            let Place::Body(path) = rule.place else { continue };
            if rule.sender.is_some_and(|own| own != sender) {
                continue;
            }
            let condition = match rule.condition {
                Condition::Value(path, texts) => Some(tree.condition(path, texts)),
                Condition::Always | Condition::Route(..) => None,
            };
            let node = tree.node(path);
            tree.nodes[node].rules.push((rule, condition));
        }
        tree
    }

    /// The index of a condition about the value at a path.
    fn condition(&mut self, path: &'static str, texts: &'static [&'static str]) -> usize {
        let node = self.node(path);
        let known = &self.nodes[node].conditions;
        let known = known.iter().copied().find(|index| self.conditions[*index] == texts);
        known.unwrap_or_else(|| {
            self.conditions.push(texts);
            self.nodes[node].conditions.push(self.conditions.len() - 1);
            self.conditions.len() - 1
        })
    }

    /// The node at a path; made if there is none.
    fn node(&mut self, path: &'static str) -> usize {
        let mut node = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let item = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let step = match item.and_then(|item| item.parse().ok()) {
                Some(index) => Step::Item(index),
                None if name == "*" => Step::AnyKey,
                None => Step::Key(name),
            };
            let children = &self.nodes[node].children;
            let known = children.iter().find(|(own, _)| *own == step).map(|(_, child)| *child);
            node = known.unwrap_or_else(|| {
                let child = self.nodes.len();
                self.nodes.push(Node::default());
                self.nodes[node].children.push((step, child));
                child
            });
        }
        node
    }

    /// A node.
    pub(super) fn get(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    /// The node below a key.
    pub(super) fn key(&self, node: Option<usize>, key: &str) -> Option<usize> {
        let children = &self.nodes[node?].children;
        let found = children.iter().find(|(step, _)| matches!(step, Step::Key(own) if *own == key));
        let found = found.or_else(|| children.iter().find(|(step, _)| *step == Step::AnyKey));
        found.map(|(_, child)| *child)
    }

    /// The node of an item of a list.
    pub(super) fn item(&self, node: Option<usize>, index: usize) -> Option<usize> {
        let children = &self.nodes[node?].children;
        let found = children.iter().find(|(step, _)| *step == Step::Item(index));
        found.map_or(node, |(_, child)| Some(*child))
    }
}
