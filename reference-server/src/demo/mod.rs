//! `reference-server demo`: the whole story on one machine, with nothing to set up (contract §14).
//!
//! A database, a simulated palm server and the real server start on free ports of 127.0.0.1. Then an
//! operator, a bank's backend and a scanner do their work over real TLS, each step checked and told
//! in one line.

mod error;
mod http;
mod knock;
mod narrator;
mod scanner;
mod stage;
mod story;

use crate::cli;
use crate::start::StartError;
use error::DemoError;
use narrator::Narrator;
use stage::Stage;
use story::Cast;

/// Tells the story; then, unless `once`, goes on serving until the process is told to stop.
///
/// # Errors
///
/// [`StartError`] when a step of the story does not go as it should.
pub async fn run(once: bool) -> Result<(), StartError> {
    let mut narrator = Narrator::new();
    let stage = Stage::set().await?;
    let played = tokio::select! {
        played = play(&stage, &mut narrator, once) => played,
        stopped = stop_signal() => stopped.map_err(DemoError::from),
    };
    // The folder goes, whatever happened.
    let cleared = stage.clear().await;
    played?;
    Ok(cleared?)
}

async fn play(stage: &Stage, narrator: &mut Narrator, once: bool) -> Result<(), DemoError> {
    let begun = format!(
        "database, palm server and HTTPS server are up: {}",
        stage.base_url
    );
    narrator.tell(&begun)?;
    let cast = story::tell(stage, narrator).await?;
    if once {
        return Ok(());
    }
    cli::print(&program(stage, &cast))?;
    std::future::pending().await
}

/// Resolves on Ctrl-C and on SIGTERM.
async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped,
        _ = terminate.recv() => Ok(()),
    }
}

/// What there is to try while the server goes on.
fn program(stage: &Stage, cast: &Cast) -> String {
    let Cast {
        operator,
        tenant_admin,
        client,
        token,
    } = cast;
    let base = &stage.base_url;
    let curl = format!("curl --cacert {}", quoted(&stage.ca_file.to_string_lossy()));
    let bearer = format!("-H 'Authorization: Bearer {token}'");
    let json = "-H 'Content-Type: application/json'";
    let device = r#"-d '{"device_name": "Counter 4 Scanner"}'"#;
    format!(
        "
base URL        {base}
CA file         {ca_file}
operator        {} {}
acme's admin    {} {}
OAuth client    {} {}

Three calls to try; the first one gets another token when this one ends after 15 minutes:

{curl} -u '{}:{}' -d grant_type=client_credentials {base}/v1/auth/token
{curl} {bearer} {base}/v1/challenges
{curl} {bearer} {json} {device} {base}/v1/devices

The server goes on until Ctrl-C.",
        operator.0,
        operator.1,
        tenant_admin.0,
        tenant_admin.1,
        client.0,
        client.1,
        client.0,
        client.1,
        ca_file = stage.ca_file.display(),
    )
}

/// One word to a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
