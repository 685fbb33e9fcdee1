//! The document of mode, with the scripts of its crate.

use crate::mode_scripts;
use crate::paired::Paired;
use tolmach_dialect_mode::Mode;

fn document() -> Paired<Mode> {
    let text = include_str!("../../dialects/mode-doc.toml");
    Paired::server("mode-doc.toml", text, Mode::default())
}

tolmach_dialect_kit::conformance!(document(), mode_scripts::all());
