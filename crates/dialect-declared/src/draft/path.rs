//! Paths of keys in frames.

use crate::syntax::Value;
use std::borrow::Cow;

/// The keys from the root of a frame to a value.
pub(super) type Path = Vec<String>;

/// The deepest path that is looked at for a name, a request id or an outcome.
pub(super) const MAX_PATH: usize = 3;

/// The value at a path.
pub(super) fn at<'v, 'a>(value: &'v Value<'a>, path: &[String]) -> Option<&'v Value<'a>> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// The paths of the values of a frame that are `wanted`, in its order.
pub(super) fn paths(frame: &Value<'_>, wanted: fn(&Value<'_>) -> bool) -> Vec<Path> {
    below(frame, wanted, MAX_PATH)
}

fn below(value: &Value<'_>, wanted: fn(&Value<'_>) -> bool, depth: usize) -> Vec<Path> {
    let Value::Object(members) = value else { return Vec::new() };
    let path = |(key, value): &(Cow<'_, str>, Value<'_>)| {
        if wanted(value) {
            return vec![vec![key.to_string()]];
        }
        let deeper = if depth > 1 { below(value, wanted, depth - 1) } else { Vec::new() };
        let prefixed = deeper
            .into_iter()
            .map(|rest| std::iter::once(key.to_string()).chain(rest).collect::<Path>());
        prefixed.collect()
    };
    members.iter().flat_map(path).collect()
}

/// True for a text and for an integer.
pub(super) fn is_text_or_integer(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(_) | Value::Integer(_))
}
