//! The `duet` binary: everything stands in the library.

fn main() -> std::process::ExitCode {
    duet::cli::run()
}
