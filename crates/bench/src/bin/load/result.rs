//! The result of a measurement.

use std::error::Error;

/// Any error.
pub(crate) type BenchError = Box<dyn Error + Send + Sync>;

/// Any error ends the run: half a run gives no figures.
pub(crate) type BenchResult<T> = Result<T, BenchError>;
