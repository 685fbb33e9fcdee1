//! Envelopes that are lists: they are read as objects whose keys are the places of the items.

use super::path::{Path, at};
use crate::syntax::{Value, item_index, item_key};
use std::borrow::Cow;

/// The place of the lists that frames of a client are, or have under one key; `None` where their
/// envelopes are objects. Such a list begins with a text and has an object, which the fields stand
/// in.
pub(super) fn place_of_lists(clients: &[&Value<'_>]) -> Option<Path> {
    let first = clients.first()?;
    let keys: Vec<Path> = match first {
        Value::Object(members) => members.iter().map(|(key, _)| vec![key.to_string()]).collect(),
        _ => vec![Vec::new()],
    };
    let is_envelope = |value: &Value<'_>| match value {
        Value::List(items) => {
            matches!(items.first(), Some(Value::Text(_)))
                && items.iter().any(|item| matches!(item, Value::Object(_)))
        }
        _ => false,
    };
    keys.into_iter().find(|path| {
        let envelopes = clients.iter().filter(|frame| at(frame, path).is_some_and(is_envelope));
        envelopes.count() * 4 >= clients.len() * 3
    })
}

/// A frame with the list at this place as an object. An object that stands there loses the members
/// whose keys are those of items: only items of lists have such keys there.
pub(super) fn unlisted(frame: Value<'static>, place: &[String]) -> Value<'static> {
    changed_at(frame, place, |value| match value {
        Value::List(items) => {
            let member = |(index, item)| (Cow::Owned(item_key(index)), item);
            Value::Object(items.into_iter().enumerate().map(member).collect())
        }
        Value::Object(mut members) => {
            members.retain(|(key, _)| item_index(key).is_none());
            Value::Object(members)
        }
        value => value,
    })
}

/// A frame of [`unlisted`] with its list again.
pub(super) fn listed(frame: Value<'static>, place: &[String]) -> Value<'static> {
    changed_at(frame, place, |value| match value {
        Value::Object(members)
            if !members.is_empty() && members.iter().all(|(key, _)| item_index(key).is_some()) =>
        {
            Value::List(members.into_iter().map(|(_, item)| item).collect())
        }
        value => value,
    })
}

/// A frame whose value at this place is changed.
fn changed_at(
    frame: Value<'static>,
    place: &[String],
    change: fn(Value<'static>) -> Value<'static>,
) -> Value<'static> {
    let Some((key, rest)) = place.split_first() else { return change(frame) };
    let Value::Object(members) = frame else { return frame };
    let member = |(name, value): (Cow<'static, str>, _)| match name == key.as_str() {
        true => (name, changed_at(value, rest, change)),
        false => (name, value),
    };
    Value::Object(members.into_iter().map(member).collect())
}

/// The place of the object in the lists of these frames.
pub(super) fn place_of_fields<'v>(
    frames: impl IntoIterator<Item = &'v Value<'static>>,
    place: &[String],
) -> Option<Path> {
    frames.into_iter().find_map(|frame| {
        let Value::Object(items) = at(frame, place)? else { return None };
        let is_fields = |(key, item): &&(Cow<'_, str>, Value<'_>)| {
            item_index(key).is_some() && matches!(item, Value::Object(_))
        };
        let (key, _) = items.iter().find(is_fields)?;
        Some(place.iter().cloned().chain([key.to_string()]).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::place::owned;
    use crate::syntax::Syntax;

    fn value(text: &str) -> Value<'static> {
        Syntax::Json.read(text.as_bytes(), 64, |value| owned(&value)).unwrap()
    }

    #[test]
    fn lists_that_begin_with_a_text_and_have_an_object_are_envelopes() {
        for (frames, expected) in [
            (vec![r#"["a",1,{}]"#, r#"["b",2,{"x":1}]"#], Some(vec![])),
            (vec![r#"{"v":1,"m":["a",1,{}]}"#], Some(vec!["m"])),
            (vec![r#"{"do":"a","args":["x","y"]}"#], None),
            (vec![r#"{"m":["a",{}]}"#, r#"{"m":"b"}"#], None),
            (vec![r#"{"do":"a"}"#], None),
        ] {
            let frames: Vec<Value<'_>> = frames.into_iter().map(value).collect();
            let found = place_of_lists(&frames.iter().collect::<Vec<_>>());
            let expected: Option<Path> =
                expected.map(|keys| keys.into_iter().map(str::to_owned).collect());
            assert_eq!(found, expected, "{frames:?}");
        }
    }

    #[test]
    fn the_items_of_such_a_list_are_found_by_their_places() {
        let place = ["m".to_owned()];
        let frame = unlisted(value(r#"{"m":["a",1,{"x":[2]}],"l":[3]}"#), &place);
        let expected = value(r#"{"m":{"[0]":"a","[1]":1,"[2]":{"x":[2]}},"l":[3]}"#);
        assert_eq!(frame, expected);
        assert_eq!(listed(frame.clone(), &place), value(r#"{"m":["a",1,{"x":[2]}],"l":[3]}"#));
        let fields = place_of_fields([&frame], &place).unwrap();
        assert_eq!(fields, ["m", "[2]"]);
        assert_eq!(place_of_fields([&value(r#"{"m":{"a":{}}}"#)], &place), None);
    }

    #[test]
    fn an_object_at_the_place_of_lists_has_no_items() {
        let frame = value(r#"{"m":{"[9]":{"x":1},"a":2},"[9]":3}"#);
        let frame = unlisted(frame, &["m".to_owned()]);
        assert_eq!(frame, value(r#"{"m":{"a":2},"[9]":3}"#));
        assert_eq!(listed(frame.clone(), &["m".to_owned()]), frame);
        assert_eq!(listed(frame.clone(), &[]), frame);
    }
}
