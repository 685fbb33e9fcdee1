//! `tolmach`, a gateway between chat protocols.

use tikv_jemallocator::Jemalloc;

/// glibc keeps what peers made the process allocate in small pieces: after an attack that took
/// 1.5 GiB it kept all of it, where this one, by its background threads, keeps some MiB after 30 s.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> std::process::ExitCode {
    tolmach_cli::main()
}
