//! The dialect of `examples/dialect-file`.

use tolmach_dialect_declared::{Declared, DialectFile};

#[test]
fn the_example_compiles_without_warnings() {
    let text = include_str!("../../../../examples/dialect-file/dialects/parley.toml");
    let file = Declared::compile(DialectFile { name: "parley.toml", text }, &[]);
    let file = file.unwrap_or_else(|error| panic!("{error}"));
    assert!(file.warnings().is_empty(), "{:?}", file.warnings());
}
