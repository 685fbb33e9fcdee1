//! `tolmach copy`

use super::{Failure, configure, table};
use crate::cli::Place;
use crate::world::creatable;
use std::io::Write;
use std::time::{Duration, Instant};
use tolmach_domain::Secret;
use tolmach_store::{CopyError, Progress};

/// Between two lines that tell how far it got.
const PACE: Duration = Duration::from_secs(1);

pub(super) async fn run(place: &Place, from: &Secret, to: &Secret) -> Result<String, Failure> {
    configure(place)?;
    let mut reporter = Reporter::default();
    // A source that is absent is not made.
    let to = creatable(to.expose());
    let copied =
        tolmach_store::copy(from.expose(), to.expose(), |progress| reporter.report(&progress))
            .await?;
    let rows = copied
        .iter()
        .map(|table| [table.name.clone(), table.rows.to_string(), table.digest_text()]);
    Ok(format!("{}copied, and the same on both sides\n", table(["TABLE", "ROWS", "SHA-256"], rows)))
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Tells people how far it got: the end of every table, and now and then what lies between.
#[derive(Default)]
struct Reporter {
    last: Option<Instant>,
}

impl Reporter {
    fn report(&mut self, progress: &Progress<'_>) {
        let Progress { table, verifying, rows, of } = progress;
        if rows < of && self.last.is_some_and(|last| last.elapsed() < PACE) {
            return;
        }
        self.last = Some(Instant::now());
        let step = if *verifying { "comparing" } else { "copying" };
        // Whoever does not listen loses nothing but this.
        let _ = writeln!(std::io::stderr(), "{step} {table}: {rows} of {of}");
    }
}
