//! The examples of the guide, and first frames.

mod parley;
mod recognition;
