//! The rows of the revisions in `protocols/MATRIX.md`: what arrives in conversations with the
//! documents and with the revision itself. The trial of each revision holds its own two rows.

use crate::arrival::{Arrival, Arrivals, OPERATIONS};
use crate::page_file;
use std::collections::BTreeSet;

/// The rows of a revision: as the sender, and as the receiver.
pub(crate) fn labels(revision: &str) -> [String; 2] {
    [format!("| **{revision}** sends |"), format!("| **{revision}** receives |")]
}

/// The stored row with this label; one without cells if there is none.
pub(crate) fn stored_row(page: &str, label: &str) -> String {
    let row = page.lines().find(|line| line.starts_with(label));
    row.map_or_else(|| format!("{label}{}", " |".repeat(OPERATIONS.len())), str::to_owned)
}

/// The stored rows of a revision say what arrived in its conversations, those in which it sent and
/// those in which it received.
pub(crate) fn revision_is_current(
    revision: &str,
    sent: &[Arrivals],
    received: &[Arrivals],
) -> Result<(), String> {
    let [sends, receives] = labels(revision);
    page_file::hold(|stored| {
        let mut page = stored.to_owned();
        for (label, conversations) in [(sends, sent), (receives, received)] {
            let before = stored_row(stored, &label);
            if !stored.contains(&before) {
                return Err(format!("no row {label}: update matrix_page_is_current first"));
            }
            page = page.replace(&before, &row(&label, conversations));
        }
        Ok(page)
    })
}

fn row(label: &str, conversations: &[Arrivals]) -> String {
    let cells = OPERATIONS.map(|operation| cell(operation, conversations));
    format!("{label} {} |", cells.join(" | "))
}

/// The ways in which an operation arrives. Senders without a request for it count only if there is
/// no other.
fn cell(operation: &str, conversations: &[Arrivals]) -> String {
    let found = conversations.iter().filter_map(|arrivals| arrivals.get(operation).copied());
    let mut found: BTreeSet<Arrival> = found.collect();
    if found.len() > 1 {
        found.remove(&Arrival::NotSendable);
    }
    found.into_iter().map(Arrival::text).collect::<Vec<_>>().join(", ")
}
