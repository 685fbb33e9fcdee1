//! The examples of the document, with their syntax mended.

use crate::{client, decode, encode, response, server};
use serde_json::Value;
use std::path::Path;
use tolmach_dialect::Frame;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Every example by its name, without `.json`.
fn examples() -> Vec<(String, String)> {
    let folder = Path::new(ROOT).join("protocols/morelia/examples");
    let mut all: Vec<(String, String)> = std::fs::read_dir(folder)
        .expect("the examples are part of the project")
        .map(|entry| {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("an example can be read"))
        })
        .collect();
    all.sort();
    all
}

fn schema(name: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(ROOT).join("schemas/morelia/1.0").join(name))
        .expect("there is a schema for it");
    let mut schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
    schema["$id"] = format!("https://tolmach.invalid/schemas/morelia/1.0/{name}").into();
    schema
}

fn validator(name: &str) -> jsonschema::Validator {
    let definitions = schema("definitions.json");
    let registry = jsonschema::Registry::new()
        .extend([("https://tolmach.invalid/schemas/morelia/1.0/definitions.json", definitions)])
        .and_then(jsonschema::RegistryBuilder::prepare)
        .expect("the definitions can be referred to");
    jsonschema::options().with_registry(&registry).offline().build(&schema(name)).expect(name)
}

#[test]
fn every_example_validates_by_its_schema_and_by_the_reference_schema() {
    let examples = examples();
    assert_eq!(examples.len(), 21, "two for each of ten methods, and the one with all fields");
    let reference = validator("definitions.json");
    for (name, text) in examples {
        let example: Value = serde_json::from_str(&text).expect("an example is JSON");
        let own = (name != "whole").then(|| validator(&format!("{name}.json")));
        for validator in own.iter().chain([&reference]) {
            if let Err(error) = validator.validate(&example) {
                panic!("{name}: {}: {error}", error.instance_path());
            }
        }
    }
}

#[test]
fn every_example_of_a_request_is_decoded_and_its_reply_read() {
    let examples = examples();
    for (name, request) in examples.iter().filter(|(name, _)| name.ends_with(".request")) {
        let request = decode(&mut *server(), &Frame::text(request.clone()));
        let reply = name.replace(".request", ".reply");
        let (_, reply) =
            examples.iter().find(|(name, _)| *name == reply).expect("each request has a reply");
        let mut client = client();
        encode(&mut *client, &request);
        // The client has one method for changes, whichever the request was.
        let reply = reply.replace("\"all_messages\"", "\"get_update\"");
        let response = response(&mut *client, &Frame::text(reply));
        assert!(response.outcome.is_ok(), "{name}: {response:?}");
    }
}
