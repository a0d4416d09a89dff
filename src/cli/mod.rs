//! The command line: what was typed becomes a plan, the plan is run, and only [`main`] chooses the exit
//! code. Data goes to standard output, talk to standard error.

mod amounts;
mod args;
mod changes;
mod check;
mod column_args;
mod column_types;
mod completions;
mod compression_arg;
mod count;
mod failure;
mod history;
mod history_args;
mod logging;
mod look;
mod name;
mod objects;
mod optimize;
mod output;
mod progress;
mod read;
mod restore;
mod rows;
mod rule_args;
mod rule_file;
mod rule_flags;
mod rule_schema;
mod rule_words;
mod s3_args;
mod schema;
mod settings;
mod signals;
mod stdin;
mod summary;
mod toml_place;
mod upsert;
mod vacuum;
mod write;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::args::{Cli, Command};
use crate::cli::logging::LogFormat;
use crate::cli::objects::{bucket, cat, cp, ls, presign, put, rm, stat};
use crate::cli::settings::Settings;
use crate::cli::signals::Signals;
use crate::client::s3::aborts_done;
use crate::client::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::table::ipc::is_guarded;

/// How long a run that was ended waits for what it has begun on a store to be taken back.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const INTERRUPTED: u8 = 130;

/// What a command needs of the world around it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) session: Session,
    pub(crate) signals: Signals,
}

/// Runs the command line of this process and tells how it ended: 0 done, 1 failed, 2 wrong usage, 130
/// interrupted.
#[must_use]
pub fn main() -> ExitCode {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !is_guarded() {
            print(panic);
        }
    }));
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let (settings, session) = prepare(&cli);
    let mut log_format = cli.common.log_format.unwrap_or_default();
    let signals = Signals::new(session.clone());
    match start(cli, settings, &session, &signals, &mut log_format) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            failure::tell(&error, log_format, session.run_id());
            exit_code(&error, signals.fired())
        }
    }
}

/// The settings, and a session that has them: a flag wins over a variable, that over the file.
fn prepare(cli: &Cli) -> (Result<Settings>, Session) {
    let settings = Settings::load(cli.common.config.as_deref());
    let file = settings.as_ref().map(|settings| settings.s3.clone()).unwrap_or_default();
    (settings, Session::with_s3_over(cli.common.s3.0.clone(), file))
}

fn start(
    cli: Cli,
    settings: Result<Settings>,
    session: &Session,
    signals: &Signals,
    log_format: &mut LogFormat,
) -> Result<()> {
    let settings = settings?;
    *log_format = cli.common.log_format.or(settings.log_format).unwrap_or_default();
    logging::init(cli.common.log_level(settings.log_level), *log_format);
    signals.listen()?;
    // As important as an error, so that it is there with whatever is logged.
    let run = tracing::error_span!("run", id = session.run_id());
    let _entered = run.clone().entered();
    let runtime = runtime(run)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    let context = Context { session: session.clone(), signals: signals.clone() };
    let outcome = runtime.block_on(async {
        let outcome = dispatch(cli.command, &settings, &context).await;
        aborts_done(LAST_REQUESTS).await;
        outcome
    });
    // A thread that waits for standard input cannot be asked to stop.
    runtime.shutdown_background();
    outcome.inspect(|()| tracing::info!("done"))
}

/// Threads live in the span of the run, so that every line they log carries its id.
fn runtime(run: tracing::Span) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .on_thread_start(move || std::mem::forget(run.clone().entered()))
        .enable_all()
        .build()
        .map_err(|cause| Error::io("cannot start worker threads", cause))
}

async fn dispatch(command: Command, settings: &Settings, context: &Context) -> Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let signals = &context.signals;
    match command {
        Command::Upsert(args) => upsert::run(upsert::plan(*args, settings)?, context).await,
        Command::Read(args) => read::run(read::plan(*args, settings, terminal)?, context).await,
        Command::Write(args) => write::run(write::plan(*args, settings, terminal)?, context).await,
        Command::Schema(args) => schema::run(args, settings, context).await,
        Command::Count(args) => count::run(args, settings, context).await,
        Command::History(args) => signals.interrupt(history::run(args, settings, context)).await,
        Command::Restore(args) => restore::run(args, settings, context).await,
        Command::Optimize(args) => optimize::run(args, settings, context).await,
        Command::Vacuum(args) => vacuum::run(args, settings, context).await,
        Command::Ls(args) => signals.interrupt(ls::run(args, settings, context)).await,
        Command::Cp(args) => cp::run(args, false, settings, context).await,
        Command::Mv(args) => cp::run(args, true, settings, context).await,
        Command::Rm(args) => signals.interrupt_changes(rm::run(args, settings, context)).await,
        Command::Cat(args) => signals.interrupt(cat::run(args, context)).await,
        Command::Put(args) => put::run(*args, settings, context).await,
        Command::Stat(args) => signals.interrupt(stat::run(args, settings, context)).await,
        Command::Presign(args) => signals.interrupt(presign::run(args, settings, context)).await,
        Command::Bucket(args) => signals.interrupt_changes(bucket::run(args, settings, context)).await,
        Command::Check(args) => check::run(*args, settings),
        Command::Completions(args) => completions::run(&args),
    }
}

fn exit_code(error: &Error, interrupted: bool) -> ExitCode {
    ExitCode::from(match error.kind() {
        ErrorKind::Usage => USAGE,
        ErrorKind::Cancelled if interrupted => INTERRUPTED,
        _ => FAILED,
    })
}

/// `--help` and `--version` arrive as errors, too; they are answers.
fn refused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && logging::json_is_asked(std::env::args_os()) {
        failure::tell_usage(error);
    } else {
        // Nobody is left to tell if this fails.
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_an_error_chooses_the_exit_code() {
        let code = |kind, interrupted| format!("{:?}", exit_code(&Error::new(kind, "x"), interrupted));
        let expect = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(ErrorKind::Usage, false), expect(2));
        assert_eq!(code(ErrorKind::NotFound, false), expect(1));
        assert_eq!(code(ErrorKind::Cancelled, true), expect(130));
        assert_eq!(code(ErrorKind::Cancelled, false), expect(1));
    }
}
