//! The report of a siege, in Markdown.

use crate::error::{TaskError, TaskResult};
use crate::machine::Machine;
use serde_json::Value;

/// One attack and its figures.
pub(super) struct Siege {
    pub(super) name: String,
    pub(super) about: String,
    /// The figures, or `failed`: the reason for which people were not served.
    pub(super) figures: Value,
}

/// The most memory that an attack may take, in MiB over that before it.
const MOST_MEMORY: f64 = 512.0;
/// The most that the 99th percentile of others may grow, and its bound in milliseconds.
const MOST_DELAY: (f64, f64) = (2.0, 100.0);
/// The delay, in milliseconds, below which a relation of two delays says nothing: one flush of a
/// disk more.
const SMALL_DELAY: f64 = 20.0;
/// The share of logins of others that succeed in time.
const LEAST_LOGINS: f64 = 0.95;

impl Siege {
    fn failure(&self) -> Option<&str> {
        self.figures["failed"].as_str()
    }

    fn figure(&self, path: &str) -> TaskResult<f64> {
        self.figures.pointer(path).and_then(Value::as_f64).ok_or_else(|| {
            TaskError::new(format!("{}: the load generator gave no {path}", self.name))
        })
    }

    /// The targets that were missed. Without `judge`, only the survival of the gateway counts.
    fn missed(&self, judge: bool) -> TaskResult<Vec<&'static str>> {
        if self.failure().is_some() {
            return Ok(vec!["service"]);
        }
        let mut missed = Vec::new();
        if self.figure("/panics")? > 0.0 {
            missed.push("panic");
        }
        if !judge {
            return Ok(missed);
        }
        if self.figure("/memory_mib_peak_over_before")? > MOST_MEMORY {
            missed.push("memory");
        }
        if self.figures["recovered_after_s"].is_null() {
            missed.push("recovery");
        }
        let (before, during) = (self.figure("/before/ms_p99")?, self.figure("/during/ms_p99")?);
        let (factor, most) = MOST_DELAY;
        if self.figure("/guests_lost")? > 0.0 {
            missed.push("guests");
        }
        let tried = self.figure("/logins/tried")?;
        // Passwords that are hashed delay everybody.
        let is_judged = tried == 0.0 && self.figures["one_address"].as_bool().unwrap_or_default();
        if is_judged && (during > most || during > (before * factor).max(SMALL_DELAY)) {
            missed.push("delay");
        }
        if tried > 0.0 && self.figure("/logins/granted")? / tried < LEAST_LOGINS {
            missed.push("logins");
        }
        Ok(missed)
    }
}

/// A line for each attack.
pub(super) fn table(sieges: &[Siege], judge: bool) -> TaskResult<String> {
    let mut lines = vec![
        "| attack | acts, carried out | memory before, most more, MiB | after / before (within) | \
         p99 of others before, during, ms | logins of others before, during; a second possible | \
         missed |"
            .to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for siege in sieges {
        let missed = match siege.missed(judge)? {
            missed if missed.is_empty() => if judge { "nothing" } else { "not judged" }.to_owned(),
            missed => missed.join(", "),
        };
        if let Some(reason) = siege.failure() {
            let reason = reason.replace(['\n', '|'], " ");
            lines.push(format!(
                "| **{}**: {} | not measured: {reason} | | | | | {missed} |",
                siege.name, siege.about,
            ));
            continue;
        }
        let figure = |path: &str| siege.figure(path);
        let recovered = match siege.figures["recovered_after_s"].as_f64() {
            Some(seconds) => format!("{seconds:.1} s"),
            None => "not in 30 s".to_owned(),
        };
        let logins = match figure("/logins/tried")? {
            tried if tried > 0.0 => format!(
                "{} of {}, {} of {tried}; {:.1}",
                figure("/logins_before/granted")?,
                figure("/logins_before/tried")?,
                figure("/logins/granted")?,
                figure("/logins/per_s_possible")?,
            ),
            _ => String::new(),
        };
        lines.push(format!(
            "| **{}**: {} | {}, {} | {:.0}, {:.0} | {:.2} ({recovered}) | {:.1}, {:.1} | {logins} \
             | {missed} |",
            siege.name,
            siege.about,
            figure("/attack/acts")?,
            figure("/attack/granted")?,
            figure("/memory_mib_before")?,
            figure("/memory_mib_peak_over_before")?,
            figure("/memory_after_over_before")?,
            figure("/before/ms_p99")?,
            figure("/during/ms_p99")?,
        ));
    }
    Ok(lines.join("\n") + "\n")
}

/// The contents of docs/siege.md.
pub(super) fn document(table: &str, machine: &Machine) -> String {
    let origin = format!("Made by `cargo xtask siege`. {machine}");
    ["# A gateway under attack", &origin, table.trim_end(), METHOD].join("\n\n")
}

/// Fails if an attack ended the gateway or, if judged, a target was missed.
pub(super) fn verdict(sieges: &[Siege], judge: bool) -> TaskResult<()> {
    let mut failures = Vec::new();
    for siege in sieges {
        let missed = siege.missed(judge)?;
        if !missed.is_empty() {
            failures.push(format!("{} ({})", siege.name, missed.join(", ")));
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(TaskError::new(format!("targets missed: {}", failures.join("; "))))
    }
}

/// The method of measurement, for the end of the report.
const METHOD: &str = "\
Each attack has a gateway of its own with the default limits (SQLite, the bus in the process), on
one half of the cores. Five people in a group, who come from another address than the attackers,
get a message every 10 ms; the delay of a message is the time from the moment at which it was due to
its last delivery, also where the attack delays its posting. Attackers run on the other half of the
cores at the lowest priority, so that what delays the people is the gateway. Attacks of many sockets
use 10,000 of them from 100 addresses (127.0.1.x); whom the gateway disconnects comes back after
50 ms. Memory is resident memory, sampled every 20 ms. Beside the people 5,000 guests of 50
addresses are logged in and silent, and 50 of them have read a history of 1 MiB, so that the memory
before is that of a gateway in use: one that nobody uses has little more than its code, and fills
its caches at the first use.

During sign-ups other users log in, from other addresses, at half of the rate at which the gateway's
half of the cores can check passwords (bcrypt, the default cost; timed before the attack), and at
the same rate before it.

Targets: at most 512 MiB over the memory before; within 30 s of the end at most 1.2 times the memory
before; where one address attacks, a 99th percentile of the delay of at most 100 ms and at most
twice that before (a delay of 20 ms, a flush of the disk or two, is always met); 95 % of others'
logins within 5 s; no panic, no request of the people refused, and no connection of a guest ended.
The delay while a hundred addresses attack, or while passwords are hashed, is told and not judged.
";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn siege(changes: &[(&str, Value)]) -> Siege {
        let mut figures = json!({
            "panics": 0,
            "guests_lost": 0,
            "one_address": true,
            "memory_mib_before": 40.0,
            "memory_mib_peak_over_before": 512.0,
            "memory_after_over_before": 1.1,
            "recovered_after_s": 1.0,
            "before": { "ms_p99": 50.0 },
            "during": { "ms_p99": 100.0 },
            "logins_before": { "tried": 100, "granted": 100 },
            "logins": { "tried": 0, "granted": 0, "per_s_possible": 4.0 },
            "attack": { "acts": 1, "granted": 0 },
        });
        for (path, value) in changes {
            *figures.pointer_mut(path).expect("the path of a figure") = value.clone();
        }
        Siege { name: "flood".into(), about: "many".into(), figures }
    }

    fn logins(tried: u32, granted: u32) -> Value {
        json!({ "tried": tried, "granted": granted, "per_s_possible": 4.0 })
    }

    #[test]
    fn each_target_is_judged_at_its_bound() {
        for (changes, missed) in [
            (&[][..], &[][..]),
            (&[("/memory_mib_peak_over_before", json!(512.1))], &["memory"]),
            (&[("/recovered_after_s", Value::Null)], &["recovery"]),
            (&[("/during/ms_p99", json!(100.1))], &["delay"]),
            (&[("/before/ms_p99", json!(49.9))], &["delay"]),
            (&[("/before/ms_p99", json!(1.0)), ("/during/ms_p99", json!(20.0))], &[]),
            (&[("/during/ms_p99", json!(9_000.0)), ("/one_address", json!(false))], &[]),
            (&[("/logins", logins(100, 95))], &[]),
            (&[("/logins", logins(100, 94))], &["logins"]),
            (&[("/during/ms_p99", json!(9_000.0)), ("/logins", logins(1, 1))], &[]),
            (&[("/panics", json!(1))], &["panic"]),
            (&[("/guests_lost", json!(1))], &["guests"]),
        ] {
            let siege = siege(changes);
            assert_eq!(siege.missed(true).unwrap(), missed, "{changes:?}");
            let line = table(&[siege], true).unwrap();
            assert!(missed.iter().all(|target| line.contains(target)), "{line}");
        }
    }

    #[test]
    fn a_gateway_that_fails_the_people_has_a_line_and_fails_the_run() {
        let figures = json!({ "failed": "the server closed the connection" });
        let failed = [Siege { figures, ..siege(&[]) }];
        let line = table(&failed, true).unwrap();
        assert!(line.contains("the server closed the connection | | | | | service |"), "{line}");
        assert!(verdict(&failed, false).unwrap_err().chain().contains("flood (service)"));
    }

    #[test]
    fn a_short_run_judges_only_the_survival_of_the_gateway() {
        let slow = siege(&[("/during/ms_p99", json!(5_000.0))]);
        assert!(verdict(&[slow], false).is_ok());
        let panicked = siege(&[("/panics", json!(1))]);
        assert!(verdict(&[panicked], false).unwrap_err().chain().contains("flood (panic)"));
    }
}
