//! The examples of the guide, and first frames.

mod empty;
mod forms;
mod lists;
mod names;
mod parley;
mod recognition;
mod refused;
