//! The store on real databases.

mod copy;
mod postgres;
mod sqlite;
mod suite;
mod world;
