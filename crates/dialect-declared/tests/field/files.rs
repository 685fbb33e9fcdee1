//! The files of the binary.

use std::fs;
use std::path::Path;
use tolmach_dialect_declared::{Declared, DialectFile};

/// Each file by name, with its text.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialects");
    let entries = fs::read_dir(folder).expect("the folder is part of the crate");
    let paths = entries.map(|entry| entry.expect("the entry can be read").path());
    let mut files: Vec<(String, String)> = paths
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            (name.to_owned(), fs::read_to_string(&path).expect("the file can be read"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_file_compiles_and_is_short() {
    let texts = files();
    let all: Vec<DialectFile<'_>> =
        texts.iter().map(|(name, text)| DialectFile { name, text }).collect();
    let mut problems = Vec::new();
    for file in &all {
        if let Err(error) = Declared::compile(*file, &all) {
            problems.push(error.to_string());
        }
        assert!(file.text.lines().count() <= 200, "{}", file.name);
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
