//! The program: every service and command, by subcommand or by the name it is called under.

fn main() -> std::process::ExitCode {
    saslgate::cli::main()
}
