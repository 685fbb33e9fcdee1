//! The reference of the language, held to the compiler: docs/dialect-files.md.

mod recognition;
