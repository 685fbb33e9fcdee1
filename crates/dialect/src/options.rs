//! A dialect's own table of the configuration.

use crate::Dialect;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The table `[dialects.<id>]` of the configuration without the server's own keys.
pub type OptionTable = Map<String, Value>;

/// A dialect that is made from its table of the configuration.
pub trait Configure: Dialect + Sized {
    /// Makes the dialect. An empty table gives the defaults.
    fn configure(options: OptionTable) -> Result<Self, OptionsError>;
}

/// An option that does not exist, or a value of the wrong type: names the key and what exists.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct OptionsError(#[from] serde_json::Error);

/// Reads a table into a struct of options, which should carry `#[serde(default,
/// deny_unknown_fields)]` so that every option may be left out and no other is accepted.
pub fn parse_options<T: DeserializeOwned>(options: OptionTable) -> Result<T, OptionsError> {
    Ok(serde_json::from_value(Value::Object(options))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Options {
        push: bool,
    }

    impl Default for Options {
        fn default() -> Self {
            Self { push: true }
        }
    }

    #[test]
    fn options_may_be_left_out_and_no_other_is_accepted() {
        for (table, expected) in [
            ("{}", Ok(true)),
            (r#"{"push":false}"#, Ok(false)),
            (r#"{"push":"yes"}"#, Err("expected a boolean")),
            (r#"{"psh":false}"#, Err("unknown field `psh`, expected `push`")),
        ] {
            let options = parse_options::<Options>(serde_json::from_str(table).unwrap());
            match (options, expected) {
                (Ok(options), Ok(push)) => assert_eq!(options.push, push, "{table}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (options, _) => panic!("{table}: {options:?}"),
            }
        }
    }
}
