//! Panics as problems.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `action`; a panic is a problem.
pub(crate) fn guarded<T>(what: &str, action: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("{what} panics: {}", message.unwrap_or_default())
    })
}
