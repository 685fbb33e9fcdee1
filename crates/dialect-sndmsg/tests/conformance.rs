//! The trials of every dialect, with scripts of what only this wire has.

mod scripts;

use tolmach_dialect_sndmsg::SndMsg;

tolmach_dialect_kit::conformance!(SndMsg::default(), scripts::all());
