//! The options of the dialect.

use tolmach_dialect::{Configure, OptionTable};
use tolmach_dialect_sndmsg::SndMsg;

/// The dialect with these options.
pub(crate) fn configured(options: &str) -> SndMsg {
    SndMsg::configure(table(options)).expect(options)
}

fn table(options: &str) -> OptionTable {
    serde_json::from_str(options).expect("a JSON object")
}

#[test]
fn an_unknown_option_is_refused_with_the_known_ones() {
    configured("{}");
    let error = SndMsg::configure(table(r#"{"psh":false}"#)).expect_err("it is no option");
    let expected = "unknown field `psh`, expected `push` or `reveal_unknown_user`";
    assert_eq!(error.to_string(), expected);
}
