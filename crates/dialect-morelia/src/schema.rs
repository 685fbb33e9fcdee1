//! The schemas of `schemas/morelia/1.0`, compiled once; nothing is fetched and patterns match in
//! linear time.

use crate::wire::Method;
use jsonschema::{Draft, PatternOptions, Registry, RegistryBuilder, Validator};
use serde_json::{Value, json};
use std::sync::LazyLock;
use tolmach_dialect::WireNames;

/// The longest explanation of why a request does not validate, in characters.
const MAX_REASON: usize = 256;

/// The address by which the schemas refer to each other, under a reserved domain (RFC 2606).
const ADDRESS: &str = "https://tolmach.invalid/schemas/morelia/1.0/";

macro_rules! schema {
    ($name:literal) => {
        include_str!(concat!("../../../schemas/morelia/1.0/", $name, ".json"))
    };
}

/// The definitions that every schema refers to: the document's reference schema, corrected.
const DEFINITIONS: &str = schema!("definitions");

/// The schema of a method's requests.
fn text(method: Method) -> &'static str {
    match method {
        Method::GetUpdate => schema!("get_update.request"),
        Method::SendMessage => schema!("send_message.request"),
        Method::AllMessages => schema!("all_messages.request"),
        Method::AllFlow => schema!("all_flow.request"),
        Method::UserInfo => schema!("user_info.request"),
        Method::RegisterUser => schema!("register_user.request"),
        Method::Authentication => schema!("authentication.request"),
        Method::DeleteUser => schema!("delete_user.request"),
        Method::DeleteMessage => schema!("delete_message.request"),
        Method::EditedMessage => schema!("edited_message.request"),
    }
}

/// The validators, in the order of [`Method::ALL`].
static VALIDATORS: LazyLock<Vec<(Method, Validator)>> = LazyLock::new(|| {
    compile().expect("the schemas are part of this crate, and a test compiles them")
});

/// Validates a request of a method. The error is the JSON pointer and the reason, without the
/// peer's own values.
pub(crate) fn check(method: Method, request: &Value) -> Result<(), String> {
    let validator =
        VALIDATORS.iter().find(|(its, _)| *its == method).map(|(_, validator)| validator);
    let Some(error) = validator.and_then(|validator| validator.validate(request).err()) else {
        return Ok(());
    };
    // Values are masked: one may be a password, or as large as the frame.
    let reason = format!("{}: {}", error.instance_path().as_str(), error.masked());
    Err(reason.trim_start_matches(": ").chars().take(MAX_REASON).collect())
}

fn compile() -> Result<Vec<(Method, Validator)>, Box<dyn std::error::Error>> {
    let definitions: Value = serde_json::from_str(DEFINITIONS)?;
    let registry = Registry::new()
        .extend([(format!("{ADDRESS}definitions.json"), definitions)])
        .and_then(RegistryBuilder::prepare)?;
    let compile = |method: &Method| {
        let mut schema: Value = serde_json::from_str(text(*method))?;
        schema["$id"] = json!(format!("{ADDRESS}{}.request.json", method.name()));
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .with_registry(&registry)
            .offline()
            .build(&schema)?;
        Ok((*method, validator))
    };
    Method::ALL.iter().map(compile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_compiles_and_is_for_its_method() {
        let compiled: Vec<Method> =
            compile().unwrap().into_iter().map(|(method, _)| method).collect();
        assert_eq!(compiled, Method::ALL);
    }

    #[test]
    fn a_reason_names_the_place_and_hides_the_value() {
        for (method, request, place, reason) in [
            (Method::AllFlow, json!({"type": "all_flow"}), "", "\"data\" is a required property"),
            (
                Method::AllFlow,
                json!({"type": "all_flow", "data": {"user": {"id": 1}}}),
                "/data/user",
                "\"auth_id\" is a required property",
            ),
            (
                Method::AllFlow,
                json!({"type": "all_flow", "data": {"user": {"id": "secret", "auth_id": "t"}}}),
                "/data/user/id",
                "integer",
            ),
            (
                Method::AllFlow,
                json!({"type": "all_flow", "data": {"user": {"id": 0, "auth_id": "t"}}}),
                "/data/user/id",
                "minimum",
            ),
            (
                Method::DeleteUser,
                json!({"type": "delete_user",
                    "data": {"user": {"login": "a", "password": ["secret"]}}}),
                "/data/user/password",
                "string",
            ),
        ] {
            let found = check(method, &request).unwrap_err();
            assert!(
                found.starts_with(place) && found.contains(reason) && !found.contains("secret"),
                "{found}"
            );
        }
    }

    #[test]
    fn a_reason_is_short_whatever_the_request() {
        let long = "x".repeat(100_000);
        let request = json!({"type": "all_flow", "data": {"user": {"id": long, "auth_id": [1]}}});
        assert!(check(Method::AllFlow, &request).unwrap_err().chars().count() <= MAX_REASON);
    }
}
