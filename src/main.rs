//! The `keyfold` binary; what it does is in `keyfold::cli`.

fn main() -> std::process::ExitCode {
    keyfold::cli::main()
}
