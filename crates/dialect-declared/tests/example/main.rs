//! The examples of the guide, and first frames.

mod empty;
mod parley;
mod recognition;
