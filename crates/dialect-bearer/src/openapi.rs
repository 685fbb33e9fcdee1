//! The OpenAPI 3.1 description, made from the table of routes and the schemas in `schemas/bearer`.
//!
//! OpenAPI describes only the handshake of a WebSocket, here under a tag of its own; SPEC.md
//! describes the frames.

use crate::form::PART_NAME;
use crate::routes::{Body, Operation, ROUTES, Route, Success};
use crate::wire::{HISTORY_DEFAULT, HISTORY_LIMIT, KEY_LIMIT};
use serde_json::{Map, Value, json};
use tolmach_dialect::WireNames;

macro_rules! schemas {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../schemas/bearer/", $name, ".json")))),*]
    };
}

const DEFINITIONS: &str = include_str!("../../../schemas/bearer/definitions.json");

const ERROR: &str = "error.reply";

/// An `Idempotency-Key`, bare or as a string of structured fields, as a regular expression.
const KEY: &str = r#"^(?:[!#-+\--:<-\[\]-~]{1,255}|"(?:[!#-\[\]-~]|\\["\\]){1,255}")$"#;

/// The tag of the handshakes, by which a tool without WebSockets leaves them out.
const WEBSOCKET: &str = "websocket";

/// Every schema of an HTTP body, by its file's name.
const SCHEMAS: [(&str, &str); 18] = schemas![
    "chat_info.reply",
    "chats.reply",
    "create_group.reply",
    "create_group.request",
    "create_user.request",
    "error.reply",
    "group_info.reply",
    "group_users.reply",
    "login.request",
    "logout.reply",
    "messages.reply",
    "open_chat.reply",
    "refresh.request",
    "register.request",
    "status.reply",
    "tokens.reply",
    "user.reply",
    "users.request",
];

/// The document as JSON.
pub(crate) fn document() -> String {
    description().to_string()
}

fn description() -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Tolmach: the dialect bearer",
            "description": "Chats and groups over REST, and a WebSocket for each of them.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {
                "name": env!("CARGO_PKG_LICENSE"),
                "identifier": env!("CARGO_PKG_LICENSE"),
            },
        },
        "servers": [{ "url": "/" }],
        "tags": [{
            "name": WEBSOCKET,
            "description": "Handshakes. A request that asks for no upgrade is answered 426.",
        }],
        "security": [{ "access_token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": responses(),
            "securitySchemes": {
                "access_token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.operation.name(),
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": success(route.success),
    });
    for status in route.errors() {
        operation["responses"][status.to_string()] =
            json!({ "$ref": format!("#/components/responses/{status}") });
    }
    if !route.secured {
        operation["security"] = json!([]);
    }
    if route.success == Success::WebSocket {
        operation["tags"] = json!([WEBSOCKET]);
    }
    let content = match route.body {
        Body::Nothing => return operation,
        Body::Json(name) => json!({ "application/json": { "schema": reference(name) } }),
        Body::Form(name) => json!({ "multipart/form-data": form(name) }),
    };
    operation["requestBody"] = json!({ "required": true, "content": content });
    operation
}

fn form(json: &str) -> Value {
    json!({
        "schema": {
            "type": "object",
            "required": ["json"],
            "propertyNames": { "pattern": PART_NAME },
            "properties": {
                "json": reference(json),
                "photo": {
                    "description": "An image of at most 5 MiB.",
                    "type": "string",
                    "format": "binary",
                },
            },
        },
        "encoding": {
            "json": { "contentType": "application/json" },
            "photo": { "contentType": "image/png, image/jpeg, image/gif, image/webp" },
        },
    })
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    if route.has_id() {
        let schema = reference("Id");
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": schema }));
    }
    if route.paged {
        let any = json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
        let (mut limit, mut offset) = (any.clone(), any);
        if route.operation != Operation::ListChats {
            limit["maximum"] = HISTORY_LIMIT.into();
            limit["default"] = HISTORY_DEFAULT.into();
        }
        offset["default"] = 0.into();
        for (name, description, schema) in
            [("limit", "At most this many.", limit), ("offset", "Skip this many.", offset)]
        {
            parameters.push(json!({
                "name": name,
                "in": "query",
                "description": description,
                "schema": schema,
            }));
        }
    }
    if route.takes_key() {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Names a request, so that a retry of it makes nothing a second time: \
                a string of structured fields, or the same without its quotes.",
            "schema": { "type": "string", "pattern": KEY, "maxLength": 2 * KEY_LIMIT + 2 },
            "example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
        }));
    }
    parameters
}

/// The successful response, by its status.
fn success(success: Success) -> Value {
    match success {
        Success::Json(name) => {
            let content = json!({ "application/json": { "schema": reference(name) } });
            json!({ "200": { "description": "Granted.", "content": content } })
        }
        Success::Image => {
            json!({ "200": { "description": "The photo.", "content": { "image/*": {} } } })
        }
        Success::WebSocket => json!({ "101": { "description": "A WebSocket." } }),
    }
}

/// The response of every status of the table but the successful ones.
fn responses() -> Map<String, Value> {
    let mut statuses: Vec<u16> = ROUTES.iter().flat_map(Route::errors).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let response = |status: u16| {
        let reason = http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Refused");
        let mut response = json!({
            "description": reason,
            "content": { "application/json": { "schema": reference(ERROR) } },
        });
        let header = match status {
            401 => Some(("WWW-Authenticate", json!({ "const": "Bearer" }))),
            426 => Some(("Upgrade", json!({ "const": "websocket" }))),
            429 | 503 => Some((
                "Retry-After",
                json!({ "description": "Seconds to wait.", "type": "integer", "minimum": 1 }),
            )),
            _ => None,
        };
        if let Some((name, schema)) = header {
            response["headers"] = json!({ name: { "required": true, "schema": schema } });
        }
        (status.to_string(), response)
    };
    statuses.into_iter().map(response).collect()
}

fn schemas() -> Map<String, Value> {
    let mut schemas = match read(DEFINITIONS)["$defs"].take() {
        Value::Object(definitions) => definitions,
        _ => Map::new(),
    };
    schemas.extend(SCHEMAS.iter().map(|(name, text)| ((*name).to_owned(), read(text))));
    schemas.values_mut().for_each(settle);
    schemas
}

fn read(schema: &str) -> Value {
    serde_json::from_str(schema).expect("the schemas are JSON: a test reads each")
}

/// Points references at the components of this document, and drops what makes a schema a document
/// of its own.
fn settle(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("$schema");
            fields.remove("$id");
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => {
                        *target =
                            target.replace("definitions.json#/$defs/", "#/components/schemas/");
                    }
                    value => settle(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_table_and_the_document_list_the_same_operations() {
        let document = description();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                described.insert((method.to_ascii_uppercase(), path.clone()));
            }
        }
        let served: BTreeSet<(String, String)> =
            crate::routes().map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
        assert_eq!(described, served);
        assert_eq!(served.len(), ROUTES.len());
    }

    #[test]
    fn every_reference_has_a_target_and_every_component_a_reference() {
        let document = description();
        let mut targets = BTreeSet::new();
        references(&document, &mut targets);
        for target in &targets {
            assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
        }
        for kind in ["schemas", "responses"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                let target = format!("#/components/{kind}/{name}");
                assert!(targets.contains(&*target), "{target} is not used");
            }
        }
    }

    #[test]
    fn only_operations_that_hand_out_tokens_need_none() {
        let document = description();
        for row in &ROUTES {
            let method = row.method.as_str().to_ascii_lowercase();
            let public = document["paths"][row.path][method]["security"] == json!([]);
            let expected = ["/api/v1/register", "/api/v1/login", "/api/v1/refresh"];
            assert_eq!(public, expected.contains(&row.path), "{}", row.path);
        }
    }
}
