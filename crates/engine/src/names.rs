//! Logins and display names: the characters that they may have, and which of them look alike.

use crate::limits::{LOGIN_LIMIT, case_folded, check_name};
use precis_core::profile::PrecisFastInvocation;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use tolmach_domain::Fault;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Reason of the [`Fault::Invalid`] for a display name that imitates another user's login.
pub const IMITATION: &str = "is the login of another user, or looks like it";

/// A new login in the form that is stored: UsernameCaseMapped of RFC 8265 section 3.3 for each of
/// its parts, but with its case, because logins are shown as they were chosen. Parts are separated
/// by single spaces: legacy clients have them, and RFC 8265 section 3.5 permits it.
pub fn enforce_login(field: &'static str, login: &str) -> Result<String, Fault> {
    check_name(field, login, LOGIN_LIMIT)?;
    let mut parts = Vec::new();
    for part in login.split(' ') {
        if part.is_empty() {
            return Err(Fault::invalid(field, "may have single spaces between its parts only"));
        }
        let invalid = |error| Fault::invalid(field, reason(&error));
        UsernameCaseMapped::enforce(part).map_err(invalid)?;
        parts.push(UsernameCasePreserved::enforce(part).map_err(invalid)?);
    }
    let login = parts.join(" ");
    check_name(field, &login, LOGIN_LIMIT)?;
    Ok(login)
}

/// The form of [`enforce_login`] if it differs from a login that was typed. A login that exists may
/// be in another form, so it is looked up as typed first.
pub(crate) fn normalized_login(login: &str) -> Option<String> {
    enforce_login("login", login).ok().filter(|normal| normal != login)
}

/// Refuses a display name that is empty, longer than `limit` characters, or has characters that
/// control the text around them: control and format characters, separators of lines.
pub(crate) fn check_display_name(
    field: &'static str,
    name: &str,
    limit: usize,
) -> Result<(), Fault> {
    check_name(field, name, limit)?;
    let is_refused = |char: &char| {
        matches!(
            char.general_category(),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
        )
    };
    match name.chars().find(is_refused) {
        None => Ok(()),
        Some(char) => Err(Fault::invalid(field, unsuitable(u32::from(char)))),
    }
}

/// The forms by which names are compared for their looks: two names that share one look alike. The
/// skeleton of Unicode Technical Standard 39 section 4, of the name as it is shown and of its lower
/// case, without regard to case.
pub fn look_alikes(name: &str) -> BTreeSet<String> {
    let form = |text: &str| {
        let skeleton = skeleton(text);
        let words: Vec<&str> = skeleton.split_whitespace().collect();
        case_folded(&words.join(" "))
    };
    let folded = case_folded(name);
    if folded == name { [form(name)].into() } else { [form(name), form(&folded)].into() }
}

/// The skeleton of a text: of most names, which are of ASCII, those of their characters.
fn skeleton(text: &str) -> String {
    static OF_ASCII: LazyLock<Vec<String>> = LazyLock::new(|| {
        let of = |ascii: char| unicode_security::skeleton(&String::from(ascii)).collect();
        ('\0'..='\x7f').map(of).collect()
    });
    if text.is_ascii() {
        return text.bytes().map(|byte| OF_ASCII[usize::from(byte)].as_str()).collect();
    }
    unicode_security::skeleton(text).collect()
}

fn reason(error: &precis_core::Error) -> String {
    match error {
        precis_core::Error::BadCodepoint(found) => unsuitable(found.cp),
        _ => "mixes directions of writing, or letters that do not combine".into(),
    }
}

fn unsuitable(code_point: u32) -> String {
    format!("must not have the character U+{code_point:04X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skeleton_of_ascii_is_that_of_its_characters() {
        let ascii = || (0..=127_u8).map(char::from);
        for (one, other) in ascii().flat_map(|one| ascii().map(move |other| (one, other))) {
            let text = String::from_iter([one, other, one]);
            let expected: String = unicode_security::skeleton(&text).collect();
            assert_eq!(skeleton(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn logins_are_of_letters_digits_and_punctuation_with_single_spaces() {
        for (login, expected) in [
            ("anna", Some("anna")),
            ("Anna Maria", Some("Anna Maria")),
            ("anna_1-2.3", Some("anna_1-2.3")),
            ("anna@example.org", Some("anna@example.org")),
            ("Жанна", Some("Жанна")),
            ("山田", Some("山田")),
            ("שרה", Some("שרה")),
            // Fullwidth letters, and a letter with a combining accent.
            ("\u{ff41}nna", Some("anna")),
            ("Zoe\u{308}", Some("Zo\u{eb}")),
            (" anna", None),
            ("anna ", None),
            ("anna  maria", None),
            ("anna\u{a0}maria", None),
            ("an\u{200b}na", None),
            ("an\u{200d}na", None),
            ("an\u{ad}na", None),
            ("\u{202e}anna", None),
            ("anna\u{2066}", None),
            ("an\tna", None),
            ("an\0na", None),
            ("anna\u{feff}", None),
            ("anna\u{1f600}", None),
            ("anna שרה", Some("anna שרה")),
            ("annaשרה", None),
            ("", None),
            (" ", None),
        ] {
            let found = enforce_login("login", login);
            assert_eq!(found.as_deref().ok(), expected, "{login:?}: {found:?}");
        }
    }

    #[test]
    fn a_login_has_at_most_64_characters() {
        assert!(enforce_login("login", &"я".repeat(64)).is_ok());
        assert!(enforce_login("login", &"я".repeat(65)).is_err());
    }

    #[test]
    fn display_names_have_no_characters_that_control_text() {
        for (name, accepted) in [
            ("Анна 😀 (дома)", true),
            ("I ❤\u{fe0f} chess", true),
            ("a\u{200b}b", false),
            ("a\u{200d}b", false),
            ("a\u{202e}b", false),
            ("a\u{2069}b", false),
            ("a\u{ad}b", false),
            ("a\u{2028}b", false),
            ("a\nb", false),
            ("\u{feff}a", false),
            ("  ", false),
        ] {
            assert_eq!(check_display_name("name", name, 255).is_ok(), accepted, "{name:?}");
        }
    }

    #[test]
    fn names_look_alike_across_scripts_and_without_regard_to_case() {
        for (one, other, alike) in [
            ("anna", "Anna", true),
            ("anna", "аnnа", true),
            ("PAYPAL", "РАУРАL", true),
            ("paypal", "paypa1", true),
            ("paypal", "PayPaI", true),
            ("admin", "admin\u{3164}", true),
            ("admin", " admin ", true),
            ("Anna Maria", "Anna\u{a0}Maria", true),
            ("scope", "ѕсоре", true),
            ("anna", "hanna", false),
            ("user1", "user2", false),
            ("анна", "anna", false),
            ("anna", "anna maria", false),
        ] {
            let shared = look_alikes(one).intersection(&look_alikes(other)).count();
            assert_eq!(shared > 0, alike, "{one:?} and {other:?}");
        }
    }
}
