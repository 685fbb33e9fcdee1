//! The examples of the guide, and first frames.

mod empty;
mod forms;
mod parley;
mod recognition;
mod refused;
