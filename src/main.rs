//! The `dmevpn` program.

fn main() -> std::process::ExitCode {
    dmevpn::cli::main()
}
