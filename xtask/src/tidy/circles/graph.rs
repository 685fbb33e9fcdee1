//! Circles in a graph.

use std::collections::{BTreeMap, BTreeSet};

/// The circles of a graph, given by the successors of each node: one shortest circle of each set of
/// nodes that reach each other.
pub(super) fn circles<N: Ord + Clone>(successors: &BTreeMap<N, BTreeSet<N>>) -> Vec<Vec<N>> {
    let mut found: Vec<Vec<N>> = Vec::new();
    for start in successors.keys() {
        if found.iter().any(|circle| circle.contains(start)) {
            continue;
        }
        found.extend(shortest_circle(successors, start));
    }
    found
}

/// The shortest path from a node back to itself.
fn shortest_circle<N: Ord + Clone>(
    successors: &BTreeMap<N, BTreeSet<N>>,
    start: &N,
) -> Option<Vec<N>> {
    let mut paths: Vec<Vec<N>> = vec![vec![start.clone()]];
    let mut visited = BTreeSet::new();
    while !paths.is_empty() {
        let mut longer = Vec::new();
        for path in paths {
            for next in successors.get(path.last()?).into_iter().flatten() {
                if next == start {
                    return Some(path);
                }
                if visited.insert(next.clone()) {
                    longer.push([path.clone(), vec![next.clone()]].concat());
                }
            }
        }
        paths = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_of_nodes_that_reach_each_other_gives_one_shortest_circle() {
        let graph = |edges: &[(u8, u8)]| {
            let mut graph: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
            edges.iter().for_each(|(from, to)| {
                graph.entry(*from).or_default().insert(*to);
            });
            graph
        };
        for (edges, expected) in [
            (&[(1, 2), (2, 3)][..], vec![]),
            (&[(1, 1)], vec![vec![1]]),
            (&[(1, 2), (2, 3), (3, 1)], vec![vec![1, 2, 3]]),
            (&[(1, 2), (2, 3), (3, 1), (2, 1)], vec![vec![1, 2], vec![3, 1, 2]]),
            (&[(1, 2), (2, 1), (3, 4), (4, 3), (2, 3)], vec![vec![1, 2], vec![3, 4]]),
        ] {
            assert_eq!(circles(&graph(edges)), expected, "{edges:?}");
        }
    }
}
