//! `protocols/MATRIX.md`: what comes through from each dialect to each other one, for people.

use crate::dialects::{self, Spoken};
use crate::live::{self, Passage, Passages};
use crate::translate::{project, report};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use tolmach_dialect_kit::{Deviations, Fidelity, Report, UPDATE};

const INTRODUCTION: &str = "\
# What comes through

Made by the tests in `tests/matrix` from what they find; `TOLMACH_UPDATE_GOLDENS=1 cargo test -p \
tolmach-gateway --test matrix
the_matrix_page_is_current` makes it anew.

Rows are who speaks, columns who listens.
";

const LIVE: &str = "
## In one conversation

A client of each dialect speaks to a client of each other one through a running gateway.

- **live**: the listener is told at once, and reads the same later where it can ask.
- **on reading**: the listener finds it when it asks.
- *unsaid*: the speaker's dialect has no words for it.
- *untold*: the listener's dialect has no words for it.
";

const TRANSLATED: &str = "
## Frame by frame

A client of one dialect speaks through a translator to a server of another: the stories of \
`crates/dialect-kit`, there and back.

- **full**: every frame is what a native peer would have said.
- **partial**: it comes through without what one of the two, or both, cannot carry. The dialects \
that lose something are named;
  what it is stands below.
- –: one of the two has no words for it.
";

const LOSSES: &str = "
## What each dialect does not carry

As declared in `protocols/<dialect>/DEVIATIONS.toml`, with the reasons. An operation that is \
marked *whole* has no words at all.
";

/// The page says what the tests find.
pub(crate) fn is_current() -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocols/MATRIX.md");
    let page = page()?;
    let set =
        |name: &str| std::env::var(name).is_ok_and(|value| !matches!(&*value, "" | "0" | "false"));
    if set(UPDATE) {
        if set("CI") {
            return Err(format!(
                "{UPDATE} is set and so is CI: the page is rewritten by people, who read the \
                    difference"
            ));
        }
        return std::fs::write(&path, page)
            .map_err(|error| format!("protocols/MATRIX.md: {error}"));
    }
    let stored = std::fs::read_to_string(&path)
        .map_err(|error| format!("protocols/MATRIX.md: {error}; {UPDATE}=1 writes it"))?;
    match stored.lines().zip(page.lines()).find(|(stored, found)| stored != found) {
        _ if stored == page => Ok(()),
        Some((stored, found)) => Err(format!(
            "protocols/MATRIX.md is stale: it says {stored:?}, found {found:?}; {UPDATE}=1 \
                rewrites it"
        )),
        None => Err(format!(
            "protocols/MATRIX.md is stale: it ends too early or too late; {UPDATE}=1 rewrites it"
        )),
    }
}

fn page() -> Result<String, String> {
    let ids: Vec<_> = dialects::all().iter().map(Spoken::id).collect();
    let mut passages: BTreeMap<(&str, &str), Passages> = BTreeMap::new();
    let mut reports: BTreeMap<(&str, &str), Report> = BTreeMap::new();
    for (source, target) in dialects::pairs() {
        passages.insert((source, target), live::passages(source, target)?);
        reports.insert((source, target), report(source, target)?);
    }
    let mut losses = BTreeMap::new();
    for id in &ids {
        losses.insert(*id, project().deviations(id).map_err(|problems| problems.join("; "))?);
    }
    let mut page = INTRODUCTION.to_owned();
    page.push_str(LIVE);
    for operation in live::OPERATIONS {
        put(&mut page, format_args!("\n### {}\n\n", capital(operation)));
        grid(&mut page, &ids, |source, target| {
            in_words(passages[&(source, target)].get(operation).copied()).to_owned()
        });
    }
    page.push_str(TRANSLATED);
    let operations: BTreeSet<_> =
        reports.values().flat_map(|report| report.operations.keys().copied()).collect();
    let (carried, lost): (Vec<_>, Vec<_>) = operations.into_iter().partition(|operation| {
        let found = |report: &Report| {
            report
                .operations
                .get(operation)
                .is_some_and(|fidelity| *fidelity != Fidelity::Inexpressible)
        };
        reports.values().any(found)
    });
    if !lost.is_empty() {
        let lost: Vec<_> = lost.into_iter().map(|operation| format!("`{operation}`")).collect();
        put(
            &mut page,
            format_args!("\nBetween no two of them comes through: {}.\n", lost.join(", ")),
        );
    }
    for operation in carried {
        put(&mut page, format_args!("\n### `{operation}`\n\n"));
        grid(&mut page, &ids, |source, target| {
            fidelity(
                reports[&(source, target)].operations.get(operation),
                operation,
                [source, target],
                &losses,
            )
        });
    }
    page.push_str(LOSSES);
    for (id, deviations) in &losses {
        put(&mut page, format_args!("\n### {id}\n\n| operation | what is lost |\n|---|---|\n"));
        for loss in deviations.all() {
            let whole = if loss.partial { "" } else { "*whole*: " };
            put(
                &mut page,
                format_args!(
                    "| `{}` | {whole}{} |\n",
                    loss.operation,
                    loss.what.replace('|', "\\|").replace('\n', " ")
                ),
            );
        }
    }
    Ok(page)
}

fn grid(page: &mut String, ids: &[&str], cell: impl Fn(&str, &str) -> String) {
    put(page, format_args!("| | {} |\n|---|{}\n", ids.join(" | "), "---|".repeat(ids.len())));
    for source in ids {
        let cells: Vec<_> = ids.iter().map(|target| cell(source, target)).collect();
        put(page, format_args!("| **{source}** | {} |\n", cells.join(" | ")));
    }
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes everything");
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn in_words(passage: Option<Passage>) -> &'static str {
    match passage {
        Some(Passage::Live) => "live",
        Some(Passage::OnReading) => "on reading",
        Some(Passage::Unsaid) => "*unsaid*",
        Some(Passage::Untold) => "*untold*",
        None => "",
    }
}

fn fidelity(
    found: Option<&Fidelity>,
    operation: &str,
    pair: [&str; 2],
    losses: &BTreeMap<&str, Deviations>,
) -> String {
    match found {
        Some(Fidelity::Full) => "full".to_owned(),
        Some(Fidelity::Partial(_)) => {
            let mut losers: Vec<_> =
                pair.into_iter().filter(|id| losses[id].of(operation).next().is_some()).collect();
            losers.dedup();
            let links: Vec<_> = losers.into_iter().map(|id| format!("[{id}](#{id})")).collect();
            if links.is_empty() {
                "partial".to_owned()
            } else {
                format!("partial ({})", links.join(", "))
            }
        }
        Some(Fidelity::Inexpressible) | None => "–".to_owned(),
    }
}
