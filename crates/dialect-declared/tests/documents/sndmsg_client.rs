//! The document of sndmsg, both sides of which are the file.

use crate::paired::Paired;
use crate::sndmsg_scripts;
use tolmach_dialect_sndmsg::SndMsg;

fn document() -> Paired<SndMsg> {
    let text = include_str!("../../dialects/sndmsg-doc.toml");
    Paired::both("sndmsg-doc.toml", text, SndMsg::default())
}

tolmach_dialect_kit::conformance!(document(), sndmsg_scripts::all());
