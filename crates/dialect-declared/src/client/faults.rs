//! The faults that each command can end in.

use crate::model::Operation;
use tolmach_dialect::errors::{FAULTS, REQUEST};
use tolmach_domain::Fault;

/// The reason of a refusal without any.
const NOT_ACCEPTABLE: &str = "not acceptable";

/// The fault of a row, with a reason of its own where it is no row of a single fault.
pub(super) fn fault_of(row: &str, reason: &str) -> Fault {
    let fault = FAULTS.into_iter().find(|fault| fault.name() == row);
    fault.unwrap_or_else(|| invalid(reason))
}

/// A fault of the whole request.
pub(super) fn invalid(reason: &str) -> Fault {
    Fault::invalid(REQUEST, if reason.is_empty() { NOT_ACCEPTABLE } else { reason })
}

/// True if a command can end in the fault with this name.
pub(super) fn can_end_in(operation: Operation, fault: &str) -> bool {
    use Operation as O;
    let is_anonymous = matches!(operation, O::Register | O::Login | O::Recover);
    let in_flow = matches!(
        operation,
        O::DeleteFlow
            | O::GetFlow
            | O::AddMembers
            | O::RemoveMembers
            | O::Send
            | O::Edit
            | O::Delete
            | O::History
            | O::GetChanges
            | O::ShowTyping
    );
    match fault {
        "unauthenticated" => !is_anonymous,
        "wrong_credentials" => matches!(operation, O::Login | O::DeleteAccount),
        "login_taken" => matches!(operation, O::Register | O::CreateProfile),
        "no_profile" | "not_administrator" => !is_anonymous,
        "profile_exists" => operation == O::CreateProfile,
        "no_such_user" => matches!(
            operation,
            O::GetUser | O::OpenChat | O::CreateFlow | O::AddMembers | O::RemoveMembers
        ),
        "no_such_flow" | "wrong_kind" => in_flow,
        "no_such_message" => matches!(operation, O::Send | O::Edit | O::Delete),
        "not_owner" => matches!(operation, O::DeleteFlow | O::AddMembers | O::RemoveMembers),
        "not_author" => matches!(operation, O::Edit | O::Delete),
        "no_business" => matches!(operation, O::Send | O::Edit | O::Delete),
        "already_member" => operation == O::AddMembers,
        "not_member" => operation == O::RemoveMembers,
        "key_reused" => matches!(operation, O::Send | O::CreateFlow),
        "no_photo" => false,
        _ => true,
    }
}
