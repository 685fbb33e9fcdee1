//! Frames of clients that are in the field, held to the files of their revisions.

mod files;
mod morelia;
mod peer;
