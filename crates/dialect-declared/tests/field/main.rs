//! Frames of clients that are in the field, held to the files of their revisions.

mod action;
mod files;
mod mode;
mod morelia;
mod morelia_0;
mod peer;
mod revisions;
mod sndmsg;
