//! The schemas of `schemas/morelia/1.0`, compiled once; nothing is fetched and patterns match in
//! linear time.

use crate::wire::Method;
use jsonschema::{NewMessage, PatternOptions, Registry, RegistryBuilder, Validator};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The longest explanation of why a request does not validate, in characters.
const REASON_LIMIT: usize = 256;

/// Where the schemas refer to each other; the name is reserved for what does not exist (RFC 2606).
const ADDRESS: &str = "https://tolmach.invalid/schemas/morelia/1.0/";

/// What every schema refers to: the document's reference schema, corrected.
const DEFINITIONS: &str = include_str!("../../../schemas/morelia/1.0/definitions.json");

/// The text of the schema of this method's requests.
fn text(method: Method) -> &'static str {
    match method {
        Method::GetUpdate => include_str!("../../../schemas/morelia/1.0/get_update.request.json"),
        Method::SendMessage => {
            include_str!("../../../schemas/morelia/1.0/send_message.request.json")
        }
        Method::AllMessages => {
            include_str!("../../../schemas/morelia/1.0/all_messages.request.json")
        }
        Method::AllFlow => include_str!("../../../schemas/morelia/1.0/all_flow.request.json"),
        Method::UserInfo => include_str!("../../../schemas/morelia/1.0/user_info.request.json"),
        Method::RegisterUser => {
            include_str!("../../../schemas/morelia/1.0/register_user.request.json")
        }
        Method::Authentication => {
            include_str!("../../../schemas/morelia/1.0/authentication.request.json")
        }
        Method::DeleteUser => include_str!("../../../schemas/morelia/1.0/delete_user.request.json"),
        Method::DeleteMessage => {
            include_str!("../../../schemas/morelia/1.0/delete_message.request.json")
        }
        Method::EditedMessage => {
            include_str!("../../../schemas/morelia/1.0/edited_message.request.json")
        }
    }
}

/// In the order of [`Method::ALL`].
static VALIDATORS: LazyLock<Vec<(Method, Validator)>> = LazyLock::new(|| {
    compile().expect("the schemas are part of this crate, and a test compiles them")
});

/// Whether a request of this method validates; if not, where and why, without the peer's own
/// values.
pub(crate) fn check(method: Method, request: &Value) -> Result<(), String> {
    let validator =
        VALIDATORS.iter().find(|(its, _)| *its == method).map(|(_, validator)| validator);
    let Some(error) = validator.and_then(|validator| validator.validate(request).err()) else {
        return Ok(());
    };
    // Values are masked: one may be a password, or as large as the frame.
    let reason = format!("{}: {}", error.instance_path().as_str(), error.masked());
    Err(reason.trim_start_matches(": ").chars().take(REASON_LIMIT).collect())
}

fn compile() -> Result<Vec<(Method, Validator)>, Box<dyn std::error::Error>> {
    let registry = Registry::new()
        .extend([(
            format!("{ADDRESS}definitions.json"),
            serde_json::from_str::<Value>(DEFINITIONS)?,
        )])
        .and_then(RegistryBuilder::prepare)?;
    let compile = |method| {
        let mut schema: Value = serde_json::from_str(text(method))?;
        schema["$id"] = json!(format!("{ADDRESS}{}.request.json", Method::name(method)));
        let validator = jsonschema::options()
            .with_draft(NewMessage::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .with_registry(&registry)
            .offline()
            .build(&schema)?;
        Ok((method, validator))
    };
    Method::ALL.into_iter().map(compile).collect()
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
                json!({"type": "delete_user", "data": {"user": {"login": "a", "password": ["secret"]}}}),
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
        assert!(check(Method::AllFlow, &request).unwrap_err().chars().count() <= REASON_LIMIT);
    }
}
