//! The document of sndmsg, with the scripts of its crate.

use crate::paired::Paired;
use crate::sndmsg_scripts;
use tolmach_dialect_sndmsg::SndMsg;

fn document() -> Paired<SndMsg> {
    let text = include_str!("../../dialects/sndmsg-doc.toml");
    Paired::server("sndmsg-doc.toml", text, SndMsg::default())
}

tolmach_dialect_kit::conformance!(document(), sndmsg_scripts::all());
