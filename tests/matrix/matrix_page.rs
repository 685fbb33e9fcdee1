//! `protocols/MATRIX.md`: what comes through from each dialect to each other one.

use crate::arrival::{Arrivals, OPERATIONS};
use crate::dialects::{pairs, revisions};
use crate::revision_rows::{labels, stored_row};
use crate::translation::{losses_of, project, report};
use crate::{conversation, page_file, permission};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Arguments, Write};
use tolmach_cli::dialects::ids;
use tolmach_dialect::{DOC, Dialect};
use tolmach_dialect_declared::{BUILT_IN, Declared};
use tolmach_dialect_kit::{DeclaredLoss, Deviations, Fidelity, Losses, Report};

const INTRODUCTION: &str = "\
# What comes through

Written by the tests in `tests/matrix` from their results, with
`TOLMACH_UPDATE_GOLDENS=1 cargo test -p tolmach-cli --test matrix matrix_page_is_current`.

Rows are the dialect of the sender, columns that of the receiver.
";

const CONVERSATION: &str = "
## In one conversation

A client of each dialect talks to a client of each other one through a running gateway.

- **live**: the event is pushed to the receiver, and reading it later gives the same if the dialect
  can read it.
- **on reading**: the receiver finds it when it reads.
- *not sendable*: the sender's dialect has no request for it.
- *not receivable*: the receiver's dialect has no frame for it.
";

const REVISION_CONVERSATIONS: &str = "
## Revisions in one conversation

A client of each revision talks to clients of the five documents and to one of its own revision, as
the sender and as the receiver. A cell has every way in which the operation arrives; senders without
a request for it count only if there is no other.
The rows of a revision are written by its own trial, such as
`TOLMACH_UPDATE_GOLDENS=1 cargo test -p tolmach-cli --test matrix conversation::morelia/17`.

";

const TRANSLATION: &str = "
## Frame by frame

A client of one dialect talks through a translating proxy to a server of another: the stories of
`crates/dialect-kit`, there and back.

- **full**: every frame is what a native peer sends.
- **partial**: it comes through without what one of the two dialects, or both, cannot carry. The
  dialects with a declared loss are named; the loss stands below.
- –: one of the two dialects has no frame for it.
";

const PERMISSIONS: &str = "
## Permissions

The operations of the table in `tests/matrix/permission.rs`, which is tried over every dialect:
each role is granted or refused them alike in all of them. Where a dialect has no request, the user
asks over another dialect; `tolmach user leave`, `block`, `unblock` and `blocks` are the operator's
ways. `leave` is the removal of oneself from a group or channel. Contact data is tried apart, in
`tests/matrix/contacts.rs`: every dialect that shows any shows it to the same users.

";

const LOSSES: &str = "
## What each dialect does not carry

Operations without any frame are computed by playing the stories. Partial losses and reasons are
those of `protocols/<dialect>/DEVIATIONS.toml`.
";

const REVISIONS: &str = "
## Revisions

The requests and events of the revisions that are files, as `tolmach dialects` lists them: computed
from `crates/dialect-declared/dialects`.

";

/// The stored page is the one that the tests write. Of the revisions' conversations it has the rows
/// that it had: their own trials hold them.
pub(crate) fn is_current() -> Result<(), String> {
    let (before, after) = page()?;
    page_file::hold(|stored| {
        let mut page = before;
        for label in revisions().into_iter().flat_map(labels) {
            put(&mut page, format_args!("{}\n", stored_row(stored, &label)));
        }
        page.push_str(&after);
        Ok(page)
    })
}

/// The parts of the page before and after the rows of the revisions' conversations.
fn page() -> Result<(String, String), String> {
    let ids = ids();
    let mut arrivals: BTreeMap<(&str, &str), Arrivals> = BTreeMap::new();
    let mut reports: BTreeMap<(&str, &str), Report> = BTreeMap::new();
    for (source, target) in pairs() {
        arrivals.insert((source, target), conversation::arrivals(source, target)?);
        reports.insert((source, target), report(source, target)?);
    }
    let mut deviations = BTreeMap::new();
    for id in &ids {
        deviations.insert(*id, project().deviations(id).map_err(|problems| problems.join("; "))?);
    }
    let mut page = INTRODUCTION.to_owned();
    conversations(&mut page, &ids, &arrivals);
    page.push_str(REVISION_CONVERSATIONS);
    let columns = "---|".repeat(OPERATIONS.len());
    put(&mut page, format_args!("| | {} |\n|---|{columns}\n", OPERATIONS.join(" | ")));
    let before = std::mem::take(&mut page);
    translations(&mut page, &ids, &reports, &deviations);
    page.push_str(PERMISSIONS);
    permissions(&mut page, &ids)?;
    page.push_str(LOSSES);
    for (id, deviations) in &deviations {
        put(&mut page, format_args!("\n### {id}\n"));
        losses(&mut page, &losses_of(id)?, deviations);
    }
    page.push_str(REVISIONS);
    revision_operations(&mut page)?;
    Ok((before, page))
}

/// The commands and events of each revision that is a file.
fn revision_operations(page: &mut String) -> Result<(), String> {
    let compiled = BUILT_IN.iter().map(|file| Declared::compile(*file, BUILT_IN));
    let mut files = compiled.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    files.retain(|file| file.revision() != DOC);
    let title = |file: &Declared| format!("{}/{}", file.manifest().id, file.revision());
    let titles: Vec<_> = files.iter().map(title).collect();
    let columns = "---|".repeat(titles.len());
    for (kind, names_of) in [
        ("request", Declared::commands as fn(&Declared) -> Vec<&'static str>),
        ("event", Declared::events),
    ] {
        put(page, format_args!("| {kind} | {} |\n|---|{columns}\n", titles.join(" | ")));
        let names: BTreeSet<_> = files.iter().flat_map(names_of).collect();
        for name in names {
            let cells: Vec<_> = files
                .iter()
                .map(|file| if names_of(file).contains(&name) { "yes" } else { "–" })
                .collect();
            put(page, format_args!("| `{name}` | {} |\n", cells.join(" | ")));
        }
        if kind == "request" {
            page.push('\n');
        }
    }
    Ok(())
}

fn conversations(page: &mut String, ids: &[&str], arrivals: &BTreeMap<(&str, &str), Arrivals>) {
    page.push_str(CONVERSATION);
    for operation in OPERATIONS {
        put(page, format_args!("\n### {}\n\n", capitalised(operation)));
        grid(page, ids, |source, target| {
            let arrival = arrivals[&(source, target)].get(operation);
            arrival.map_or("", |arrival| arrival.text()).to_owned()
        });
    }
}

fn translations(
    page: &mut String,
    ids: &[&str],
    reports: &BTreeMap<(&str, &str), Report>,
    deviations: &BTreeMap<&str, Deviations>,
) {
    page.push_str(TRANSLATION);
    let operations: BTreeSet<_> =
        reports.values().flat_map(|report| report.operations.keys().copied()).collect();
    let (carried, lost): (Vec<_>, Vec<_>) = operations.into_iter().partition(|operation| {
        let is_carried = |report: &Report| {
            let fidelity = report.operations.get(operation);
            fidelity.is_some_and(|fidelity| *fidelity != Fidelity::Inexpressible)
        };
        reports.values().any(is_carried)
    });
    if !lost.is_empty() {
        put(page, format_args!("\nNo two dialects carry: {}.\n", code_list(&lost)));
    }
    for operation in carried {
        put(page, format_args!("\n### `{operation}`\n\n"));
        grid(page, ids, |source, target| {
            let fidelity = reports[&(source, target)].operations.get(operation);
            fidelity_text(fidelity, operation, [source, target], deviations)
        });
    }
}

/// The dialects that have a request for each operation of the permission table.
fn permissions(page: &mut String, ids: &[&str]) -> Result<(), String> {
    put(page, format_args!("| | {} |\n|---|{}\n", ids.join(" | "), "---|".repeat(ids.len())));
    for operation in permission::operations() {
        let command = permission::command_of(operation);
        let mut cells = Vec::with_capacity(ids.len());
        for id in ids {
            let is_lost = losses_of(id)?.whole().any(|lost| lost == command);
            cells.push(if is_lost { "*no request*" } else { "yes" });
        }
        put(page, format_args!("| `{operation}` | {} |\n", cells.join(" | ")));
    }
    Ok(())
}

/// The losses of one dialect: declared parts with their reasons, then whole operations.
fn losses(page: &mut String, computed: &Losses, deviations: &Deviations) {
    let partial: Vec<_> = deviations.all().iter().filter(|loss| loss.partial).collect();
    if !partial.is_empty() {
        page.push_str("\n| operation | what is lost | why |\n|---|---|---|\n");
    }
    for DeclaredLoss { operation, what, reason, .. } in partial {
        let (what, reason) = (cell(what), cell(reason));
        put(page, format_args!("| `{operation}` | {what} | {reason} |\n"));
    }
    let whole: Vec<_> = computed.whole().collect();
    let reason_of = |operation: &str| {
        let declared = deviations.of(operation).find(|loss| !loss.partial);
        declared.map(|loss| cell(&loss.reason))
    };
    let (explained, unexplained): (Vec<_>, Vec<_>) =
        whole.into_iter().partition(|operation| reason_of(operation).is_some());
    if !explained.is_empty() {
        page.push_str("\n| no frame for | why |\n|---|---|\n");
    }
    for operation in explained {
        let reason = reason_of(operation).unwrap_or_default();
        put(page, format_args!("| `{operation}` | {reason} |\n"));
    }
    if !unexplained.is_empty() {
        put(page, format_args!("\nNo frame for: {}.\n", code_list(&unexplained)));
    }
}

fn grid(page: &mut String, ids: &[&str], cell: impl Fn(&str, &str) -> String) {
    put(page, format_args!("| | {} |\n|---|{}\n", ids.join(" | "), "---|".repeat(ids.len())));
    for source in ids {
        let cells: Vec<_> = ids.iter().map(|target| cell(source, target)).collect();
        put(page, format_args!("| **{source}** | {} |\n", cells.join(" | ")));
    }
}

fn put(page: &mut String, text: Arguments<'_>) {
    page.write_fmt(text).expect("writing to a String cannot fail");
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn code_list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn fidelity_text(
    fidelity: Option<&Fidelity>,
    operation: &str,
    pair: [&str; 2],
    deviations: &BTreeMap<&str, Deviations>,
) -> String {
    match fidelity {
        Some(Fidelity::Full) => "full".to_owned(),
        Some(Fidelity::Partial(_)) => {
            let declared = |id: &&str| deviations[id].of(operation).next().is_some();
            let mut losing: Vec<_> = pair.into_iter().filter(declared).collect();
            losing.dedup();
            let links: Vec<_> = losing.into_iter().map(|id| format!("[{id}](#{id})")).collect();
            if links.is_empty() {
                "partial".to_owned()
            } else {
                format!("partial ({})", links.join(", "))
            }
        }
        Some(Fidelity::Inexpressible) | None => "–".to_owned(),
    }
}
