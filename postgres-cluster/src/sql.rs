//! Statements of clusters and tests, each on a connection of its own.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

/// Runs statements on a connection of their own, and without a transaction around them but what they
/// say or PostgreSQL does by itself.
///
/// # Panics
///
/// When one fails.
pub fn execute(url: &str, statements: &str) {
    try_execute(url, statements).unwrap_or_else(|error| panic!("{statements}: {error}"));
}

/// The one value that a query gives as text; `None` when it is null.
///
/// # Panics
///
/// When it fails, gives no row, or gives something that is not text.
#[must_use]
pub fn ask(url: &str, query: &str) -> Option<String> {
    try_ask(url, query).unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// What the server says to statements that it is to refuse.
///
/// # Panics
///
/// When it runs them, or does not answer.
#[must_use]
pub fn refusal(url: &str, statements: &str) -> String {
    match try_execute(url, statements) {
        Err(sqlx::Error::Database(error)) => error.message().to_owned(),
        Err(error) => panic!("{statements}: {error}"),
        Ok(()) => panic!("not refused: {statements}"),
    }
}

pub(crate) fn try_execute(url: &str, statements: &str) -> sqlx::Result<()> {
    wait(async {
        let mut connection = connect(url).await?;
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut connection)
            .await?;
        connection.close().await
    })
}

fn try_ask(url: &str, query: &str) -> sqlx::Result<Option<String>> {
    wait(async {
        let mut connection = connect(url).await?;
        let answer = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(answer)
    })
}

async fn connect(url: &str) -> sqlx::Result<PgConnection> {
    PgConnectOptions::from_str(url)?
        .disable_statement_logging()
        .connect()
        .await
}

/// Waits for `work` in a thread of its own: the caller's may be a runtime's, which must not wait.
fn wait<T: Send>(work: impl Future<Output = sqlx::Result<T>> + Send) -> sqlx::Result<T> {
    let alone = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(work)
    };
    std::thread::scope(|scope| match scope.spawn(alone).join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
