//! docs/dialect-files.md, held to the model.

use super::shapes::{EVENTS, Operation, Shape, answer_shape};

const REFERENCE: &str = include_str!("../../../../docs/dialect-files.md");

/// The names in the cells of a row, which begins with a name; `?` and `*` are no part of them.
fn names(row: &str) -> Vec<&str> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    row.split(|char| !is_part(char)).filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_reference_names_every_field_of_the_model() {
    let (_, model) = REFERENCE.split_once("\n## The model\n").expect("the section exists");
    let rows: Vec<&str> = model.lines().filter(|line| line.starts_with('|')).collect();
    let row_of = |name: &str| {
        let marked = format!("`{name}`");
        let is_row = |row: &&&str| {
            let first = row.split('|').nth(1).unwrap_or_default();
            first.trim() == name || first.contains(&marked)
        };
        rows.iter().find(is_row).unwrap_or_else(|| panic!("{name}: there is no row"))
    };
    let check = |name: &str, shape: Shape| {
        let row = row_of(name);
        for field in shape.fields() {
            assert!(names(row).contains(&field.name), "{name}: {} is missing", field.name);
        }
    };
    for (name, shape) in [
        ("message", Shape::Message),
        ("author", Shape::Author),
        ("flow", Shape::Flow),
        ("user", Shape::User),
    ] {
        check(name, shape);
    }
    for operation in Operation::ALL {
        check(operation.name(), Shape::Command(operation));
        // The answer of a refresh is that of a login.
        if !matches!(operation, Operation::Login | Operation::Refresh) {
            check(operation.name(), answer_shape(operation));
        }
    }
    for event in EVENTS {
        check(event, Shape::Event(event));
    }
}
