//! Generated input.

use crate::hostile::guarded;
use crate::kit::Kit;
use crate::problems::{Outcome, Problems};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The most steps in search of a smaller input that fails.
const MAX_STEPS: usize = 2_000;

/// Runs a property over generated input, the same input each time. A problem is that of the
/// smallest input found.
pub(crate) fn run<S: Strategy>(
    kit: &Kit,
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), String>,
) -> Outcome {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let property = |input| guarded("the dialect", || property(input)).and_then(|held| held);
    for _ in 0..cases {
        let tree = strategy.new_tree(&mut runner);
        let mut tree = tree.map_err(|reason| Problems::one(format!("no input: {reason}")))?;
        if let Err(problem) = property(tree.current()) {
            let input = format!("{:?}", tree.current());
            let (problem, input) = smallest(&mut tree, (problem, input), property);
            // The input is a value of the kit's own, which tells an author of a file nothing.
            return Err(Problems::one(if kit.has_project() {
                format!("{problem}\n  the smallest input found: {input}")
            } else {
                problem
            }));
        }
    }
    Ok(())
}

/// The problem of the smallest input found, and that input. Both are those of the current one at
/// first.
fn smallest<T: ValueTree>(
    tree: &mut T,
    mut found: (String, String),
    property: impl Fn(T::Value) -> Result<(), String>,
) -> (String, String) {
    let mut fails = true;
    for _ in 0..MAX_STEPS {
        let has_moved = if fails { tree.simplify() } else { tree.complicate() };
        if !has_moved {
            break;
        }
        let held = property(tree.current());
        fails = held.is_err();
        if let Err(problem) = held {
            found = (problem, format!("{:?}", tree.current()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_input_that_fails_is_found() {
        let mut runner = TestRunner::deterministic();
        let property = |number: u32| match number {
            1_000.. => Err(format!("{number} is too many")),
            _ => Ok(()),
        };
        let mut tree = (5_000..10_000_u32).new_tree(&mut runner).unwrap();
        let first = (String::new(), String::new());
        let (problem, input) = smallest(&mut tree, first.clone(), property);
        assert_eq!((problem.as_str(), input.as_str()), ("5000 is too many", "5000"));
        let mut tree = (0..10_000_u32).new_tree(&mut runner).unwrap();
        while tree.current() < 1_000 {
            tree = (0..10_000_u32).new_tree(&mut runner).unwrap();
        }
        let (problem, input) = smallest(&mut tree, first, property);
        assert_eq!((problem.as_str(), input.as_str()), ("1000 is too many", "1000"));
    }
}
