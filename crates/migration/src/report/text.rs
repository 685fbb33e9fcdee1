//! The report for a terminal.

use crate::report::model::{Cited, Counts, Example, FieldDifference, Operation, Report, Verdict};
use std::fmt::{self, Write};

/// The verdicts in the order of the columns.
const COLUMNS: [(Verdict, &str); 6] = [
    (Verdict::Same, "same"),
    (Verdict::SameMeaning, "meaning"),
    (Verdict::Differs, "differs"),
    (Verdict::Missing, "missing"),
    (Verdict::Extra, "extra"),
    (Verdict::Order, "order"),
];

/// The most fields of an operation that are listed.
const MAX_FIELDS: usize = 10;

/// The report as text: a table by operation, then what differs.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    write(&mut text, report).expect("a string takes every text");
    text
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    for (letter, source) in [('A', &report.a), ('B', &report.b)] {
        writeln!(
            out,
            "{letter}: {}: {} connections, {} frames of clients, {} of the server",
            source.name, source.connections, source.client_frames, source.server_frames
        )?;
    }
    writeln!(out)?;
    let names = report.operations.keys().map(|name| name.chars().count());
    let width = names.max().unwrap_or_default().max("operation".len());
    write!(out, "{:width$}", "operation")?;
    for (_, title) in COLUMNS {
        write!(out, "  {title:>8}")?;
    }
    writeln!(out)?;
    let rows = report.operations.iter().map(|(name, operation)| (&**name, operation.counts));
    for (name, counts) in rows.chain([("total", report.total)]) {
        row(out, name, width, counts)?;
    }
    for (name, operation) in &report.operations {
        if operation.counts.differences() > 0 {
            details(out, name, operation)?;
        }
    }
    for note in &report.notes {
        writeln!(out, "\nnote: {note}")?;
    }
    let differences = report.total.differences();
    match differences {
        0 => writeln!(out, "\nno differences"),
        1 => writeln!(out, "\n1 difference"),
        _ => writeln!(out, "\n{differences} differences"),
    }
}

fn row(out: &mut String, name: &str, width: usize, counts: Counts) -> fmt::Result {
    write!(out, "{name:width$}")?;
    for (verdict, _) in COLUMNS {
        match counts.of(verdict) {
            0 => write!(out, "  {:>8}", "-")?,
            count => write!(out, "  {count:>8}")?,
        }
    }
    writeln!(out)
}

fn details(out: &mut String, name: &str, operation: &Operation) -> fmt::Result {
    writeln!(out, "\n{name}")?;
    let mut fields: Vec<_> = operation.fields.iter().collect();
    fields.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (path, count) in fields.iter().take(MAX_FIELDS) {
        let path = if path.is_empty() { "(the whole frame)" } else { path };
        writeln!(out, "  {path}: differs in {count}")?;
    }
    if fields.len() > MAX_FIELDS {
        writeln!(out, "  and {} more fields", fields.len() - MAX_FIELDS)?;
    }
    for example in &operation.examples {
        write_example(out, example)?;
    }
    Ok(())
}

fn write_example(out: &mut String, example: &Example) -> fmt::Result {
    let Example { verdict, connection, request, a, b, fields } = example;
    writeln!(out, "  {}, connection {connection}:", verdict.name())?;
    if let Some(request) = request {
        lines(out, ">", request)?;
    }
    for (letter, cited) in [('A', a), ('B', b)] {
        match cited {
            Some(Cited { line: 0, frame }) => lines(out, &format!("{letter}"), frame)?,
            Some(Cited { line, frame }) => lines(out, &format!("{letter}:{line}"), frame)?,
            None => {}
        }
    }
    for FieldDifference { path, a, b, order } in fields {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        let order = if *order { " (another order)" } else { "" };
        writeln!(out, "    {path}: {} | {}{order}", shown(a), shown(b))?;
    }
    Ok(())
}

/// A frame after its mark, without control characters: a terminal would obey them.
fn lines(out: &mut String, mark: &str, frame: &str) -> fmt::Result {
    for line in frame.lines() {
        let line: String = line
            .chars()
            .map(|character| if character.is_control() { '\u{fffd}' } else { character })
            .collect();
        writeln!(out, "    {mark} {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Source;

    #[test]
    fn a_report_has_a_table_and_examples() {
        let source = |name: &str| Source {
            name: name.to_owned(),
            connections: 1,
            client_frames: 2,
            server_frames: 3,
        };
        let mut report = Report { a: source("old"), b: source("new"), ..Report::default() };
        report.add_same("login");
        report.add(
            "send",
            Example {
                verdict: Verdict::Differs,
                connection: 1,
                request: Some("{\"do\":\"send\"}".to_owned()),
                a: Some(Cited { line: 7, frame: "{\"ok\":true}\u{1b}".to_owned() }),
                b: Some(Cited { line: 9, frame: "{}".to_owned() }),
                fields: vec![FieldDifference {
                    path: "ok".to_owned(),
                    a: Some("true".to_owned()),
                    b: None,
                    order: false,
                }],
            },
        );
        report.note("a gap".to_owned());
        assert_eq!(
            text(&report),
            "\
A: old: 1 connections, 2 frames of clients, 3 of the server
B: new: 1 connections, 2 frames of clients, 3 of the server

operation      same   meaning   differs   missing     extra     order
login             1         -         -         -         -         -
send              -         -         1         -         -         -
total             1         -         1         -         -         -

send
  ok: differs in 1
  differs, connection 1:
    > {\"do\":\"send\"}
    A:7 {\"ok\":true}\u{fffd}
    B:9 {}
    ok: true | (none)

note: a gap

1 difference
"
        );
    }
}
