//! The server of a chat gateway, as a library.
