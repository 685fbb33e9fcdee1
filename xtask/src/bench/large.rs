//! `cargo xtask bench --large`: what reading and membership cost in large worlds, and many rooms
//! that are opened at once.

use crate::error::{TaskError, TaskResult};
use crate::extent::Extent;
use crate::process::{output, run as run_to_end};
use crate::project::Project;
use serde_json::Value;
use std::io::Write;
use std::path::Path;

/// The databases of which rooms are opened: the name of the load generator, and that of the table.
const STORES: [(&str, &str); 2] = [("sqlite", "SQLite"), ("postgres", "PostgreSQL")];

/// Builds large worlds in SQLite and PostgreSQL, measures them, and prints a table with the aims.
pub(crate) fn run_large(project: &Project, extent: &Extent) -> TaskResult<()> {
    let load = project.build_load(&extent.profile)?;
    let mut large = project.command(load.with_file_name("large"));
    if extent.short {
        large.arg("--short");
    }
    if let Some(only) = &extent.only {
        large.args(["--only", only]);
    }
    run_to_end(&mut large)?;
    if !extent.includes("rooms") {
        return Ok(());
    }
    for (id, name) in STORES {
        let figures = open_rooms(project, &load, id, extent.short)?;
        let lines = rooms(&figures, name, !extent.short);
        std::io::stdout()
            .write_all(lines.as_bytes())
            .map_err(|error| TaskError::caused_by("standard output", error))?;
    }
    Ok(())
}

/// Opens rooms at once.
fn open_rooms(project: &Project, load: &Path, store: &str, short: bool) -> TaskResult<Value> {
    let mut load = project.command(load);
    load.args(["rooms", "--store", store]);
    if short {
        load.args(["--rooms", "100", "--messages", "2"]);
    }
    serde_json::from_str(&output(&mut load)?)
        .map_err(|error| TaskError::caused_by("the output of the load generator", error))
}

/// The lines of the table about rooms; none if they could not be opened on this machine.
fn rooms(figures: &Value, store: &str, judge: bool) -> String {
    let figure = |name: &str| figures.get(name).and_then(Value::as_f64);
    let Some(rooms) = figure("rooms") else { return String::new() };
    let cpu = |name| figure(name).map_or_else(String::new, |cpu| format!("{cpu:.0} µs"));
    let (gateway, database) = (cpu("cpu_us_each"), cpu("database_cpu_us_each"));
    let rows = [
        (format!("{rooms:.0} opened at once: the last"), "open_ms_last", "ms", 10_000.0),
        ("the longest wait for a refusal".to_owned(), "refusal_ms_longest", "ms", 2_000.0),
        ("refusals without a time to come back".to_owned(), "refusals_without_a_time", "", 0.0),
        ("answers that the gateway is not ready".to_owned(), "not_ready", "", 0.0),
    ];
    let mut lines = String::new();
    for (name, key, unit, aim) in rows {
        // Without a refusal there is no wait for one.
        let default = (key == "refusal_ms_longest").then_some(0.0);
        let found = figure(key).or(default);
        let value = found.map_or_else(String::new, |value| format!("{value:.0} {unit}"));
        let verdict = match found {
            None => "not measured",
            Some(_) if !judge => "",
            Some(value) if value <= aim => "met",
            Some(_) => "missed",
        };
        let [gateway, database] = match key {
            "open_ms_last" => [gateway.as_str(), database.as_str()],
            _ => [""; 2],
        };
        lines += &format!(
            "| rooms: {name} | {store} | {value} | {gateway} | {database} \
             | ≤ {aim:.0} {unit} | {verdict} |\n"
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_figure_beyond_its_aim_is_missed_and_none_is_judged_in_a_short_run() {
        let figures = json!({
            "rooms": 5_000, "open_ms_last": 10_000.0, "cpu_us_each": 501.2,
            "database_cpu_us_each": 99.6, "refusal_ms_longest": 2_000.4, "not_ready": 1,
            "refusals_without_a_time": 0,
        });
        let lines = rooms(&figures, "SQLite", true);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(
            lines[0],
            "| rooms: 5000 opened at once: the last | SQLite | 10000 ms | 501 µs | 100 µs \
             | ≤ 10000 ms | met |"
        );
        let verdicts =
            |lines: &[&str]| lines.iter().filter(|line| line.ends_with("| missed |")).count();
        assert_eq!(verdicts(&lines), 2);
        let short = rooms(&figures, "SQLite", false);
        assert_eq!(verdicts(&short.lines().collect::<Vec<_>>()), 0);
        assert_eq!(rooms(&json!({ "missing": "PostgreSQL" }), "PostgreSQL", true), "");
    }

    #[test]
    fn a_figure_that_is_missing_is_not_met_unless_nothing_was_refused() {
        for judge in [false, true] {
            let lines = rooms(&json!({ "rooms": 100 }), "SQLite", judge);
            let verdicts: Vec<_> = lines
                .lines()
                .map(|line| line.trim_end_matches(" |").rsplit("| ").next().unwrap_or_default())
                .collect();
            let refusal = if judge { "met" } else { "" };
            let missing = "not measured";
            assert_eq!(verdicts, [missing, refusal, missing, missing], "{lines}");
        }
    }
}
