//! Dialects and revisions of dialects that are files of example frames: a frame with holes is read
//! by matching it and written by filling it in.
//!
//! docs/dialect-files.md is the reference of the language.
//!
//! ```
//! use tolmach_dialect::Dialect;
//! use tolmach_dialect_declared::{Declared, DialectFile};
//!
//! let text = r#"
//! [dialect]
//! id = "toy"
//! summary = "one request"
//! credentials = "connection"
//! [outcomes]
//! columns = ["status"]
//! ok = [0]
//! "*" = [1]
//! [envelope]
//! request = '{"do": <name>}'
//! response = '{"do": <name>, "status": <outcome.status>}'
//! [[request.login]]
//! name = "login"
//! set = { grant = "connection" }
//! frame = '{"login": <identifier>, "password": <password>}'
//! "#;
//! let toy = Declared::compile(DialectFile { name: "toy.toml", text }, &[]).unwrap();
//! assert_eq!(toy.manifest().id, "toy");
//! ```

mod built_in;
mod client;
mod compile;
mod decode;
mod dialect;
mod draft;
mod echo;
mod encode;
mod fields;
mod fixed;
mod forms;
mod model;
mod outcome;
mod paging;
mod pattern;
mod plan;
mod problem;
mod revised;
mod schemas;
mod server;
mod strftime;
mod syntax;
mod token_check;

pub use built_in::{BUILT_IN, REVISIONS};
pub use dialect::{Declared, DialectFile};
pub use draft::{CapturedFrame, DraftError, captured_frame, draft};
pub use problem::{Diagnostic, FileError};
pub use revised::{Revised, RevisionsError};
