//! Rows of `[outcomes]`.

use crate::plan::{Compiled, RequestRule};
use crate::syntax::Value;

/// The row of a fault or a violation. A file that has no row `mistyped` refuses such fields as
/// invalid; one without any other row has `*`.
pub(crate) fn row_of(file: &Compiled, name: &str) -> usize {
    let own = file.outcome(name);
    let invalid = || (name == "mistyped").then(|| file.outcome("invalid")).flatten();
    own.or_else(invalid).or_else(|| file.outcome("*")).unwrap_or_default()
}

/// The cells of a row with those of another one laid over it.
pub(crate) fn laid_over(
    lower: &[Option<Value<'static>>],
    upper: &[Option<Value<'static>>],
) -> Vec<Option<Value<'static>>> {
    let upper = upper.iter().cloned().chain(std::iter::repeat(None));
    lower.iter().cloned().zip(upper).map(|(lower, upper)| upper.or(lower)).collect()
}

/// The cells of a fault for one request: its own row, or that of `*` laid over the common one.
pub(crate) fn own_cells(
    rule: &RequestRule,
    fault: &str,
    common: &[Option<Value<'static>>],
) -> Vec<Option<Value<'static>>> {
    match (rule.outcomes.get(fault), rule.outcomes.get("*")) {
        (Some(own), _) => own.clone(),
        (None, Some(others)) => laid_over(common, others),
        (None, None) => common.to_vec(),
    }
}

/// Cells with their holes filled in: `<field>`, `<reason>`, `<plain_reason>` and `<name>`. A reason
/// without a field stands alone. A plain reason has apostrophes for quotation marks, and no
/// backslashes: some clients remove those before they parse a frame.
pub(crate) fn filled_cells(
    cells: &[Option<Value<'static>>],
    field: &str,
    reason: &str,
    name: &Value<'static>,
) -> Vec<Option<Value<'static>>> {
    let name = match name {
        Value::Text(text) => text.clone().into_owned(),
        Value::Integer(number) => number.to_string(),
        _ => String::new(),
    };
    let filled = |text: &str| {
        let text = if field.is_empty() || field == tolmach_dialect::errors::REQUEST {
            text.replace("<field>: ", "")
        } else {
            text.to_owned()
        };
        text.replace("<field>", field)
            .replace("<plain_reason>", &reason.replace('"', "'").replace('\\', "/"))
            .replace("<reason>", reason)
            .replace("<name>", &name)
    };
    let cell = |cell: &Option<Value<'static>>| match cell {
        Some(Value::Text(text)) if text.contains('<') => Some(Value::Text(filled(text).into())),
        other => other.clone(),
    };
    cells.iter().map(cell).collect()
}
