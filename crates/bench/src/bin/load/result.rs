//! The result of a measurement.

use std::error::Error;

/// Any error ends the run: half a run gives no figures.
pub(crate) type BenchResult<T> = Result<T, Box<dyn Error + Send + Sync>>;
