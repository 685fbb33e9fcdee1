//! The documents of mode and sndmsg as files, held to the transcripts of their crates: the file is
//! the server, the crate's client its peer.

mod mode;
mod mode_client;
#[path = "../../../dialect-mode/tests/scripts/mod.rs"]
mod mode_scripts;
mod paired;
mod sndmsg;
mod sndmsg_client;
#[path = "../../../dialect-sndmsg/tests/scripts/mod.rs"]
mod sndmsg_scripts;
