//! The trials of every dialect, with scripts of what only this wire has.

mod scripts;

use tolmach_dialect_mode::Mode;

tolmach_dialect_kit::conformance!(Mode::default(), scripts::all());
