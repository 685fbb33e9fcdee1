//! Credentials of a login.

use tolmach_domain::{Credentials, Tokens, UserId};

/// The credentials that the tokens of a login can be used as; a wire has one of these forms.
pub fn credentials_of(user: UserId, tokens: &Tokens) -> Vec<Credentials> {
    match tokens {
        Tokens::Nothing => vec![Credentials::Nothing],
        Tokens::Connection => vec![Credentials::Connection],
        Tokens::Token(token) => {
            vec![Credentials::Token(token.clone()), Credentials::TokenOf(user, token.clone())]
        }
        Tokens::Pair { access, refresh: _ } => {
            vec![Credentials::Bearer(access.clone()), Credentials::Connection]
        }
    }
}
