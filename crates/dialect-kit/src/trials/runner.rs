//! Generated input.

use crate::problems::{Outcome, Problems};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Runs a property over generated input, the same input each time.
pub(crate) fn run<S: Strategy>(
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), String>,
) -> Outcome {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    match runner.run(strategy, |input| property(input).map_err(TestCaseError::fail)) {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, input)) => {
            Err(Problems::one(format!("{reason}\n  the smallest input found: {input:?}")))
        }
        Err(TestError::Abort(reason)) => Err(Problems::one(format!("gave up: {reason}"))),
    }
}
