//! The specification names every route, and its examples match the schemas.

use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use tolmach_dialect_bearer::routes;

const SPECIFICATION: &str = include_str!("../../../protocols/bearer/SPEC.md");

/// Every schema of the dialect by its file's name, each on its own.
fn schemas() -> Vec<(String, Validator)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/bearer");
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(folder.join(name)).expect("the schema can be read");
        serde_json::from_str(&text.replace("definitions.json#/", "#/")).expect("the schema is JSON")
    };
    let definitions = read("definitions.json")["$defs"].take();
    let mut schemas = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the folder exists") {
        let name = entry
            .expect("the folder can be read")
            .file_name()
            .into_string()
            .expect("the names are text");
        if name != "definitions.json" {
            let mut schema = read(&name);
            schema["$defs"] = definitions.clone();
            schemas.push((name, jsonschema::draft202012::new(&schema).expect("the schema is one")));
        }
    }
    schemas
}

/// The JSON of the specification: its blocks, and the code after the word "Answer".
fn examples() -> Vec<Value> {
    let blocks =
        SPECIFICATION.split("```json\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let inline = SPECIFICATION.split("nswer: `").skip(1).filter_map(|rest| rest.split('`').next());
    blocks
        .chain(inline)
        .map(|text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")))
        .collect()
}

#[test]
fn every_example_matches_a_schema() {
    let schemas = schemas();
    let mut shown = BTreeSet::new();
    for example in examples() {
        let matching: Vec<&str> = schemas
            .iter()
            .filter(|(_, schema)| schema.is_valid(&example))
            .map(|(name, _)| name.as_str())
            .collect();
        assert!(!matching.is_empty(), "no schema describes {example}");
        shown.extend(matching);
    }
    for (name, _) in &schemas {
        // The body of an error is described without a block.
        assert!(
            shown.contains(name.as_str()) || name == "error.reply.json",
            "{name} has no example"
        );
    }
    assert!(schemas.iter().any(
        |(name, schema)| name == "error.reply.json" && schema.is_valid(&json!({"error": "…"}))
    ));
}

#[test]
fn every_route_is_named() {
    for (method, path) in routes() {
        let path = path.strip_prefix("/api/v1").expect("every path begins with it");
        let named = SPECIFICATION.contains(&format!("`{method} {path}`"));
        let socket = method == "GET" && ["/chat/{id}", "/group/{id}", "/main"].contains(&path);
        assert!(
            named || (socket && SPECIFICATION.contains(&format!("`{path}`"))),
            "{method} {path}"
        );
    }
}
