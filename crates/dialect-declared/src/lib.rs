//! Dialects and revisions of dialects that are files of example frames.
