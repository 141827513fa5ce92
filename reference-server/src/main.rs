//! The identity platform's server. See `reference-server --help`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use identity_store::{Month, NamedSecret};
use reference_server::config::Config;
use reference_server::{
    StartError, audit, backup, cli, demo, erasure, http, keys, recovery, serve, telemetry,
};

/// The identity platform's server. Its settings are environment variables.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Default, Subcommand)]
enum Command {
    /// Runs the server (the default).
    #[default]
    Serve,
    /// Brings the database's schema up to date and exits.
    Migrate,
    /// Copies the embedded database to a new file, whether or not the server runs.
    Backup {
        /// The file to make.
        path: PathBuf,
    },
    /// Tells the whole story on free ports of 127.0.0.1, then goes on serving.
    Demo {
        /// Exits when the story is told.
        #[arg(long)]
        once: bool,
    },
    /// Data encryption keys.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Console users.
    #[command(subcommand)]
    ConsoleUsers(ConsoleUsers),
    /// Prints the OpenAPI document.
    Openapi,
    /// Verifies or archives the audit trail.
    #[command(subcommand)]
    Audit(Audit),
    /// Tombstones of users who were erased.
    #[command(subcommand)]
    Erasures(Erasures),
    /// Asks the running server whether it is ready; exits 0 if it is.
    Healthcheck,
}

#[derive(Debug, Subcommand)]
enum Erasures {
    /// Prints the tombstone of every erasure, a line for each: keep them apart from the backups.
    Export,
    /// Erases again whom a restored backup brought back, before servers are started on it.
    Replay {
        /// A file of tombstones, exported or logged.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ConsoleUsers {
    /// Lets a platform administrator in again who lost password or authenticator, and whom no other can help.
    ///
    /// Prints a password that has to be changed at the next sign-in. One-time codes and recovery codes are
    /// taken away, sessions end, a lock-out is lifted. Servers may serve meanwhile.
    Recover {
        /// The address that they sign in with.
        #[arg(value_parser = http::Email::parse)]
        email: http::Email,
    },
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Encrypts under the first data key whatever is under another, while servers serve.
    Rotate,
    /// Makes a new secret in the place of one that is lost for good, while no server runs.
    Replace {
        /// Which one; `/readyz` of the metrics listener and the log of a start name those that are lost.
        #[arg(value_parser = secret_names())]
        secret: NamedSecret,
        /// Replaces also one that was altered, once it is known who did it and no backup has it.
        #[arg(long)]
        altered: bool,
    },
}

fn secret_names() -> impl TypedValueParser<Value = NamedSecret> {
    PossibleValuesParser::new(NamedSecret::ALL.map(NamedSecret::as_str)).try_map(|name| {
        let mut all = NamedSecret::ALL.into_iter();
        all.find(|secret| secret.as_str() == name)
            .ok_or("no secret has this name")
    })
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Verifies every chain, live rows and archives together; exits 0 if all are whole.
    Verify {
        /// Where archives lie; by default `IDENTITY_AUDIT_ARCHIVES`.
        #[arg(long, value_name = "DIR")]
        archives: Option<PathBuf>,
        /// A signed head that was kept from the log; may be given more than once.
        #[arg(long, value_name = "JWS")]
        head: Vec<String>,
        /// A file of such heads, each a line as it was logged: the longest of each chain counts.
        #[arg(long, value_name = "FILE")]
        heads: Option<PathBuf>,
    },
    /// Exports a month that is over, each chain into a file with its manifest.
    Archive {
        /// Which month: YYYY-MM.
        #[arg(long, value_name = "YYYY-MM")]
        month: Month,
        /// The folder for the files.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cli::conclude(run(arguments.command.unwrap_or_default()).await)
}

async fn run(command: Command) -> Result<(), StartError> {
    match command {
        Command::Serve => {
            let config = Config::from_env()?;
            telemetry::init_logs(&config.log);
            serve::serve(config, Some(telemetry::init_metrics()?)).await
        }
        Command::Migrate => serve::migrate(&Config::from_env()?).await,
        Command::Backup { path } => backup::run(&Config::from_env()?, &path).await,
        Command::Demo { once } => demo::run(once).await,
        Command::Keys { command } => {
            let config = Config::from_env()?;
            telemetry::init_logs(&config.log);
            match command {
                KeysCommand::Rotate => keys::rotate(config).await,
                KeysCommand::Replace { secret, altered } => {
                    keys::replace(config, secret, altered).await
                }
            }
        }
        Command::ConsoleUsers(ConsoleUsers::Recover { email }) => {
            recovery::recover(Config::from_env()?, &email).await
        }
        Command::Openapi => cli::print(&http::openapi_text()?),
        Command::Audit(Audit::Verify {
            archives,
            head,
            heads,
        }) => {
            let config = Config::from_env()?;
            audit::command::verify(config, archives, &head, heads.as_deref()).await
        }
        Command::Audit(Audit::Archive { month, to }) => {
            audit::command::archive(Config::from_env()?, month, &to).await
        }
        Command::Erasures(Erasures::Export) => erasure::command::export(Config::from_env()?).await,
        Command::Erasures(Erasures::Replay { file }) => {
            erasure::command::replay(Config::from_env()?, &file).await
        }
        Command::Healthcheck => cli::healthcheck(&Config::from_env()?).await,
    }
}
