//! The pins of a dialect: `[[dialects.<id>.pin]]`.

use super::values::{expected, network};
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use tolmach_server::Pin;
use toml::Value;

/// One table `[[dialects.<id>.pin]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinTable {
    revision: String,
    path: Option<String>,
    #[serde(default, deserialize_with = "network")]
    address: Option<IpNet>,
    user: Option<String>,
    user_agent: Option<String>,
}

/// Reads a list of pins.
pub(super) fn pins<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pin>, D::Error> {
    let tables = expected(
        from,
        "tables are expected: [[dialects.<id>.pin]] with revision, and one or more of path, \
         address, user and user_agent",
        |value| match value {
            Value::Array(pins) => pins.iter().all(Value::is_table).then_some(pins),
            _ => None,
        },
    )?;
    let read = |table: Value| {
        let table: PinTable =
            table.try_into().map_err(|error| D::Error::custom(error.message()))?;
        let PinTable { revision, path, address, user, user_agent } = table;
        let pin = Pin { revision, path, address, user, user_agent };
        if pin == Pin::new(pin.revision.clone()) {
            return Err(D::Error::custom(format_args!(
                "the pin of {:?} needs one or more of path, address, user and user_agent",
                pin.revision
            )));
        }
        if pin.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return Err(D::Error::custom("`path` begins with a slash"));
        }
        Ok(pin)
    };
    tables.into_iter().map(read).collect()
}
