//! Runs of the load generator and of the micro benches.

use super::results::Round;
use super::rows::DOCUMENTS_AS_FILES;
use super::scenarios::{Scenario, Work};
use crate::error::{TaskError, TaskResult};
use crate::extent::Extent;
use crate::files;
use crate::process::output;
use crate::project::Project;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Measures scenarios with programs of one profile.
pub(super) struct Runner<'a> {
    project: &'a Project,
    /// The path of the load generator.
    load: PathBuf,
    extent: &'a Extent,
}

impl<'a> Runner<'a> {
    /// A runner of this load generator.
    pub(super) fn new(project: &'a Project, load: PathBuf, extent: &'a Extent) -> Self {
        Self { project, load, extent }
    }

    /// True if loads are small.
    pub(super) fn is_short(&self) -> bool {
        self.extent.short
    }

    /// Measures Tolmach, then the baseline with a frame that Tolmach delivered.
    pub(super) fn measure(&self, scenario: &Scenario) -> TaskResult<Round> {
        let tolmach = self.run(&scenario.tolmach, None)?;
        let baseline = match &scenario.baseline {
            Some(work) => self.run(work, tolmach.get("sample").and_then(Value::as_str))?,
            None => Value::Null,
        };
        Ok(Round { tolmach, baseline })
    }

    fn run(&self, work: &Work, frame: Option<&str>) -> TaskResult<Value> {
        match work {
            Work::Load(arguments) => {
                let mut load = self.project.command(&self.load);
                load.args(arguments.iter().map(|argument| argument.value(self.extent.short)));
                if let Some(frame) = frame {
                    load.args(["--frame", frame]);
                }
                parse(&output(&mut load)?, "the output of the load generator")
            }
            Work::Wire => self.run_micro_benches(),
        }
    }

    /// Runs the micro benches of decoding and encoding and reads criterion's estimates: nanoseconds
    /// by dialect and way of decoding, and those of encoding. A short run measures nothing.
    fn run_micro_benches(&self) -> TaskResult<Value> {
        let mut bench = self.project.cargo();
        bench.args(["bench", "--quiet", "--profile", &self.extent.profile]);
        bench.args(["--package", "tolmach-bench", "--bench", "wire", "--"]);
        if self.extent.short {
            output(bench.arg("--test"))?;
            return Ok(json!({}));
        }
        output(bench.args(["--noplot", "/(de|en)code/"]))?;
        let estimates = self.project.target().join("criterion");
        let mut figures = json!({});
        let files = DOCUMENTS_AS_FILES.into_iter().map(|(file, _)| file.to_owned());
        for dialect in self.project.dialects().into_iter().chain(files) {
            for way in ["dialect", "struct", "value"] {
                let folder = estimates.join(format!("{dialect}_decode")).join(way);
                figures[&dialect][way] = median_estimate(&folder)?;
            }
            let folder = estimates.join(format!("{dialect}_encode")).join("dialect");
            figures[&dialect]["encode"] = median_estimate(&folder)?;
        }
        Ok(figures)
    }
}

/// The median that criterion estimated for a bench, from its folder.
fn median_estimate(folder: &Path) -> TaskResult<Value> {
    let file = folder.join("new/estimates.json");
    let name = file.display().to_string();
    let estimates = parse(&files::read(&file)?, &name)?;
    let median = estimates.pointer("/median/point_estimate");
    median.cloned().ok_or_else(|| TaskError::new(format!("{name}: no median")))
}

fn parse(json: &str, name: &str) -> TaskResult<Value> {
    serde_json::from_str(json).map_err(|error| TaskError::caused_by(name, error))
}
