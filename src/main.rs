//! The `dmevpn` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    dmevpn::cli::main()
}
