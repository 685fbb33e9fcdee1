//! The document of mode, both sides of which are the file.

use crate::mode_scripts;
use crate::paired::Paired;
use tolmach_dialect_mode::Mode;

fn document() -> Paired<Mode> {
    let text = include_str!("../../dialects/mode-doc.toml");
    Paired::both("mode-doc.toml", text, Mode::default())
}

tolmach_dialect_kit::conformance!(document(), mode_scripts::all());
