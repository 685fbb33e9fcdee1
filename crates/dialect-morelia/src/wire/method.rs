//! The names of the wire.

use tolmach_dialect::{Unsupported, WireNames, wire_names};

/// The dialect's id.
pub(crate) const ID: &str = "morelia";

/// The path that the dialect is served on.
pub(crate) const PATH: &str = "/morelia";

/// The error of a request, response or event that this wire has no frame for.
pub(crate) fn unsupported(what: &'static str) -> Unsupported {
    Unsupported { dialect: ID, what }
}

wire_names! {
    /// The methods, by the names in the document's list.
    pub(crate) enum Method {
        GetUpdate = "get_update",
        SendMessage = "send_message",
        AllMessages = "all_messages",
        AllFlow = "all_flow",
        UserInfo = "user_info",
        RegisterUser = "register_user",
        Authentication = "authentication",
        DeleteUser = "delete_user",
        DeleteMessage = "delete_message",
        EditedMessage = "edited_message",
    }
}

/// The name of [`Method::Authentication`] in the document's examples.
const AUTH: &str = "auth";

impl Method {
    /// The `type` that our client writes.
    pub(crate) fn request_type(self) -> &'static str {
        match self {
            Method::Authentication => AUTH,
            other => other.name(),
        }
    }

    /// The method with this `type`, and the `type` itself, which the reply repeats.
    pub(crate) fn from_type(name: &str) -> Option<(Self, &'static str)> {
        if name == AUTH {
            return Some((Method::Authentication, AUTH));
        }
        Self::from_name(name).map(|method| (method, method.name()))
    }

    /// True if its requests must carry an `id` and `auth_id`.
    pub(crate) fn is_signed(self) -> bool {
        !matches!(self, Method::RegisterUser | Method::Authentication | Method::DeleteUser)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_each_of_its_names() {
        for method in Method::ALL.iter().copied() {
            for name in [method.name(), method.request_type()] {
                assert_eq!(Method::from_type(name), Some((method, name)));
            }
        }
        assert_eq!(Method::from_type("error"), None);
    }
}
