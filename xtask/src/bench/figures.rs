//! Figures of a run, judged against bounds.

use super::results::{Round, ScenarioResults};
use crate::error::{TaskError, TaskResult};
use serde_json::Value;

/// A target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    pub(super) fn is_met_by(self, figure: f64) -> bool {
        match self {
            Bound::AtMost(most) => figure <= most,
            Bound::AtLeast(least) => figure >= least,
        }
    }

    /// True if `figure` is worse than `other`.
    pub(super) fn is_worse(self, figure: f64, other: f64) -> bool {
        match self {
            Bound::AtMost(_) => figure > other,
            Bound::AtLeast(_) => figure < other,
        }
    }
}

/// A figure, divided by the mean of others if there are any.
pub(super) struct Case {
    /// The name among the cases of its row; empty for the only one.
    pub(super) name: String,
    pub(super) numerator: Figure,
    pub(super) denominators: Vec<Figure>,
    /// The factor to the unit of its row.
    pub(super) scale: f64,
}

/// The position of a figure in the results.
pub(super) struct Figure {
    pub(super) scenario: String,
    pub(super) side: Side,
    /// The JSON Pointer (RFC 6901) in the figures of that side.
    pub(super) pointer: String,
    /// Another figure of the round, which is subtracted.
    pub(super) less: Option<Box<Figure>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Tolmach,
    Baseline,
}

/// The result of a case.
pub(super) enum CaseResult {
    /// The median of the rounds. A ratio is taken within a round, so that a disturbance of the
    /// machine affects both its sides.
    Figure(f64),
    /// The scenario, or a part of it, was not run, or failed.
    NotRun,
    /// The machine lacks a program that the scenario needs.
    Missing(String),
}

impl Case {
    pub(super) fn ratio(name: &str, numerator: Figure, denominator: Figure) -> Self {
        let denominators = vec![denominator];
        Self { name: name.to_owned(), numerator, denominators, scale: 1.0 }
    }

    pub(super) fn absolute(name: &str, figure: Figure, scale: f64) -> Self {
        Self { name: name.to_owned(), numerator: figure, denominators: Vec::new(), scale }
    }

    /// All figures that it is computed from.
    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        let own = std::iter::once(&self.numerator).chain(&self.denominators);
        own.flat_map(|figure| std::iter::once(figure).chain(figure.less.as_deref()))
    }

    pub(super) fn evaluate(&self, results: &[ScenarioResults]) -> TaskResult<CaseResult> {
        let mut rounds = usize::MAX;
        for figure in self.figures() {
            let Some(of_scenario) = figure.rounds(results) else { return Ok(CaseResult::NotRun) };
            rounds = rounds.min(of_scenario.len());
            for round in of_scenario {
                let side = figure.side_of(round);
                if let Some(missing) = side.get("missing").and_then(Value::as_str) {
                    return Ok(CaseResult::Missing(missing.to_owned()));
                }
                if side.pointer(&figure.pointer).is_none() {
                    return Ok(CaseResult::NotRun);
                }
            }
        }
        let figures: TaskResult<Vec<f64>> =
            (0..rounds).map(|round| self.in_round(results, round)).collect();
        Ok(CaseResult::Figure(median(figures?)))
    }

    fn in_round(&self, results: &[ScenarioResults], round: usize) -> TaskResult<f64> {
        let numerator = self.numerator.value(results, round)?;
        let denominators: TaskResult<Vec<f64>> =
            self.denominators.iter().map(|figure| figure.value(results, round)).collect();
        let denominators = denominators?;
        let denominator = if denominators.is_empty() {
            1.0
        } else {
            denominators.iter().sum::<f64>() / denominators.len() as f64
        };
        Ok(numerator * self.scale / denominator)
    }
}

impl Figure {
    pub(super) fn of_tolmach(scenario: impl Into<String>, pointer: impl Into<String>) -> Self {
        Self::new(Side::Tolmach, scenario.into(), pointer.into())
    }

    pub(super) fn of_baseline(scenario: impl Into<String>, pointer: impl Into<String>) -> Self {
        Self::new(Side::Baseline, scenario.into(), pointer.into())
    }

    fn new(side: Side, scenario: String, pointer: String) -> Self {
        Self { scenario, side, pointer, less: None }
    }

    /// This figure less another one of the round.
    pub(super) fn less(self, other: Figure) -> Self {
        Self { less: Some(Box::new(other)), ..self }
    }

    fn rounds<'a>(&self, results: &'a [ScenarioResults]) -> Option<&'a [Round]> {
        results
            .iter()
            .find(|results| results.scenario.name == self.scenario)
            .map(|results| results.rounds.as_slice())
            .filter(|rounds| !rounds.is_empty())
    }

    fn side_of<'a>(&self, round: &'a Round) -> &'a Value {
        match self.side {
            Side::Tolmach => &round.tolmach,
            Side::Baseline => &round.baseline,
        }
    }

    fn value(&self, results: &[ScenarioResults], round: usize) -> TaskResult<f64> {
        let rounds = self.rounds(results).unwrap_or_default();
        let value = rounds.get(round).and_then(|round| self.side_of(round).pointer(&self.pointer));
        let value = value.and_then(Value::as_f64).ok_or_else(|| {
            TaskError::new(format!("{}: {} is not a number", self.scenario, self.pointer))
        })?;
        match &self.less {
            Some(other) => Ok(value - other.value(results, round)?),
            None => Ok(value),
        }
    }
}

/// The median; of an even number of figures the mean of the two in the middle, of none NaN.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let upper = figures.len() / 2;
    match (figures.get(upper.wrapping_sub(1)), figures.get(upper)) {
        (Some(below), Some(above)) if figures.len().is_multiple_of(2) => (below + above) / 2.0,
        (_, Some(middle)) => *middle,
        (_, None) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenarios::{self, test_dialects};
    use serde_json::json;

    fn results(name: &str, rounds: &[(Value, Value)]) -> ScenarioResults {
        let mut all = scenarios::all(&test_dialects()).into_iter();
        let scenario = all.find(|scenario| scenario.name == name).unwrap();
        let rounds = rounds
            .iter()
            .map(|(tolmach, baseline)| Round {
                tolmach: tolmach.clone(),
                baseline: baseline.clone(),
            })
            .collect();
        ScenarioResults { scenario, rounds }
    }

    fn figure(result: CaseResult) -> f64 {
        match result {
            CaseResult::Figure(figure) => figure,
            CaseResult::NotRun => panic!("not run"),
            CaseResult::Missing(reason) => panic!("{reason}"),
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        for (figures, expected) in [
            (&[3.0, 1.0, 2.0][..], 2.0),
            (&[5.0], 5.0),
            (&[1.0, 4.0], 2.5),
            (&[9.0, 1.0, 1.0, 3.0], 2.0),
        ] {
            assert_eq!(median(figures.to_vec()), expected, "{figures:?}");
        }
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_so_that_a_slow_round_does_not_count() {
        let round = |tolmach: f64, baseline: f64| {
            (json!({ "cpu_us_each": tolmach }), json!({ "cpu_us_each": baseline }))
        };
        let rounds = [round(2.0, 1.0), round(30.0, 10.0), round(4.4, 4.0)];
        let results = [results("requests", &rounds)];
        let case = Case::ratio(
            "",
            Figure::of_tolmach("requests", "/cpu_us_each"),
            Figure::of_baseline("requests", "/cpu_us_each"),
        );
        assert_eq!(figure(case.evaluate(&results).unwrap()), 2.0);
    }

    #[test]
    fn several_denominators_are_averaged_and_all_must_have_run() {
        let cpu = |cpu: f64| [(json!({ "single": { "cpu_us_per_delivery": cpu } }), Value::Null)];
        let mut all = vec![results("fan-out-mixed", &cpu(6.0))];
        let dialects = test_dialects();
        let single =
            |dialect: &String, figure| results(&format!("fan-out-{dialect}"), &cpu(figure));
        all.extend(
            dialects
                .iter()
                .zip([1.0, 2.0, 3.0, 4.0, 5.0])
                .map(|(dialect, figure)| single(dialect, figure)),
        );
        let pointer = "/single/cpu_us_per_delivery";
        let of = |dialect: &String| Figure::of_tolmach(format!("fan-out-{dialect}"), pointer);
        let case = Case {
            name: String::new(),
            numerator: Figure::of_tolmach("fan-out-mixed", pointer),
            denominators: dialects.iter().map(of).collect(),
            scale: 1.0,
        };
        assert_eq!(figure(case.evaluate(&all).unwrap()), 2.0);
        assert!(matches!(case.evaluate(&all[..2]).unwrap(), CaseResult::NotRun));
    }

    #[test]
    fn a_figure_is_subtracted_within_its_round() {
        let side = |cpu: f64| json!({ "cpu_us_each": cpu });
        let results = [results("ledger", &[(side(7.5), side(7.0))])];
        let without = Figure::of_baseline("ledger", "/cpu_us_each");
        let added = Figure::of_tolmach("ledger", "/cpu_us_each").less(without);
        let case = Case::absolute("", added, 1000.0);
        assert_eq!(figure(case.evaluate(&results).unwrap()), 500.0);
        assert_eq!(case.figures().count(), 2);
    }

    #[test]
    fn a_missing_program_is_a_result_and_a_text_in_place_of_a_number_an_error() {
        let case = Case::absolute("", Figure::of_tolmach("nodes", "/added_cpu_us_each"), 1.0);
        let missing = [results("nodes", &[(json!({ "missing": "no redis" }), Value::Null)])];
        assert!(matches!(
            case.evaluate(&missing).unwrap(),
            CaseResult::Missing(reason) if reason == "no redis"
        ));
        let wrong = [results("nodes", &[(json!({ "added_cpu_us_each": "1" }), Value::Null)])];
        assert!(case.evaluate(&wrong).is_err());
    }
}
