//! The options of the dialect.

use tolmach_dialect::{Configure, OptionTable};
use tolmach_dialect_mode::Mode;

#[test]
fn an_unknown_option_is_refused_with_the_known_ones() {
    let table = |json: &str| -> OptionTable { serde_json::from_str(json).expect("a JSON object") };
    Mode::configure(table("{}")).expect("every option may be left out");
    Mode::configure(table(r#"{"push":false}"#)).expect("it is an option");
    let error = Mode::configure(table(r#"{"psh":false}"#)).expect_err("it is no option");
    assert_eq!(error.to_string(), "unknown field `psh`, expected `push`");
}
