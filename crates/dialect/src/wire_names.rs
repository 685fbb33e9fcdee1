//! Enumerations of a wire.

/// An enumeration whose variants are words of a wire. Implemented by [`crate::wire_names!`].
pub trait WireNames: Copy + 'static {
    /// Every variant, in the order of their declaration.
    const ALL: &'static [Self];

    /// The word on the wire.
    fn name(self) -> &'static str;

    /// The variant with this word.
    fn from_name(name: &str) -> Option<Self>;
}

/// Declares an enumeration whose variants are words of a wire, and implements
/// [`WireNames`] for it.
///
/// ```
/// use tolmach_dialect::{WireNames, wire_names};
///
/// wire_names! {
///     /// The operations of a wire.
///     pub enum Operation {
///         /// Logs in.
///         Login = "log_in",
///         Send = "send",
///     }
/// }
/// assert_eq!(Operation::Login.name(), "log_in");
/// assert_eq!(Operation::from_name("send"), Some(Operation::Send));
/// assert_eq!(Operation::from_name("Send"), None);
/// ```
#[macro_export]
macro_rules! wire_names {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$variant_attribute:meta])* $variant:ident = $word:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility enum $name {
            $($(#[$variant_attribute])* $variant),+
        }

        impl $crate::WireNames for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
