//! The file `protocols/MATRIX.md`.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tolmach_dialect_kit::UPDATE;

/// Held while the file is read and written again.
static WRITING: Mutex<()> = Mutex::new(());

/// Holds the file against what `change` makes of it; writes that where goldens are updated.
pub(crate) fn hold(change: impl FnOnce(&str) -> Result<String, String>) -> Result<(), String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../protocols/MATRIX.md");
    let is_set =
        |name: &str| std::env::var(name).is_ok_and(|value| !matches!(&*value, "" | "0" | "false"));
    let is_update = is_set(UPDATE);
    if is_update && is_set("CI") {
        return Err(format!("{UPDATE} is refused where CI is set"));
    }
    let failed = |error| format!("protocols/MATRIX.md: {error}");
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let stored = std::fs::read_to_string(&path).map_err(failed)?;
    let found = change(&stored)?;
    if stored == found {
        return Ok(());
    }
    if is_update {
        return std::fs::write(&path, found).map_err(failed);
    }
    Err(match stored.lines().zip(found.lines()).find(|(stored, found)| stored != found) {
        Some((stored, found)) => format!(
            "protocols/MATRIX.md is stale: it has {stored:?}, found {found:?}; {UPDATE}=1 \
             rewrites it"
        ),
        None => format!(
            "protocols/MATRIX.md is stale: it has too few or too many lines; {UPDATE}=1 rewrites it"
        ),
    })
}
