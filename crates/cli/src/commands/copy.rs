//! `tolmach copy`

use super::operator::load_config;
use crate::arguments::Location;
use crate::backend::with_creation;
use crate::error::CliError;
use crate::progress::Progress;
use crate::table::table;
use tolmach_domain::Secret;

pub(crate) async fn run(
    location: &Location,
    from: &Secret,
    to: &Secret,
) -> Result<String, CliError> {
    load_config(location)?;
    let mut progress = Progress::new();
    // Only the target may be created: a source that is missing is a mistake.
    let to = with_creation(to.expose());
    let copied = tolmach_store::copy(from.expose(), to.expose(), |state| {
        let step = if state.verifying { "comparing" } else { "copying" };
        progress.report(&format!("{step} {}", state.table), state.rows, state.of);
    })
    .await?;
    let rows = copied
        .iter()
        .map(|table| [table.name.clone(), table.rows.to_string(), table.digest_text()]);
    Ok(format!("{}copied, and the same on both sides\n", table(["TABLE", "ROWS", "SHA-256"], rows)))
}
