//! The dialects that this gateway speaks: one line each. Adding one here is all that the gateway
//! needs.

use std::sync::Arc;
use tolmach_dialect::Dialect;

/// Every dialect, in the order in which people are shown them.
pub(crate) fn all() -> Vec<Arc<dyn Dialect>> {
    vec![
        Arc::new(tolmach_dialect_mode::Mode), //
        Arc::new(tolmach_dialect_sndmsg::SndMsg),
        Arc::new(tolmach_dialect_morelia::Morelia),
        Arc::new(tolmach_dialect_bearer::Bearer),
        Arc::new(tolmach_dialect_action::Action::default()),
    ]
}
