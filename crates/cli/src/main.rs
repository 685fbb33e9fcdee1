//! `tolmach`, a gateway between chat protocols.

fn main() -> std::process::ExitCode {
    tolmach_cli::main()
}
