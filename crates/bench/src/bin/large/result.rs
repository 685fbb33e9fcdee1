//! The result of a run.

use std::error::Error;

/// Any error ends the run: half a run gives no table.
pub(crate) type LargeResult<T> = Result<T, Box<dyn Error + Send + Sync>>;
