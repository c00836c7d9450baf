//! The only program that calls libpam.

fn main() -> std::process::ExitCode {
    saslgate::cli::pam_main()
}
