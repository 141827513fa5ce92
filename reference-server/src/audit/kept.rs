//! Heads that were kept from the logs: a line each, as the server wrote it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use identity_store::{Chain, ChainHead};
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::heads;
use crate::tokens::{TokenError, Tokens};

/// The longest line that is read. A head's is far shorter; a file may be anything.
const MAX_LINE: u64 = 1 << 14;

/// Why a file of heads cannot be verified against.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeptError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// A line is something else.
    #[error("line {0} is no audit head from a log")]
    Line(u64),
    /// A line's signature is not the platform's.
    #[error("line {line} is not a signed head of this platform")]
    Signature {
        /// Which line, from 1 on.
        line: u64,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// The signature speaks of another head than the line.
    #[error("line {0} says another chain or length than its signature")]
    OtherHead(u64),
    /// There is nothing to verify against.
    #[error("the file is empty")]
    Empty,
}

/// What a line says: of the longest ones, what the signature in it says too.
#[derive(Debug, Deserialize)]
struct Logged {
    tenant_id: Option<String>,
    length: u64,
    signed: String,
}

/// The longest head of each chain in a file that may have any number of them: heads come from several
/// servers in no order, and a shorter one that came later must not hide what is gone.
///
/// # Errors
///
/// [`KeptError`].
pub(super) async fn longest(
    tokens: &Tokens,
    path: &Path,
) -> Result<Vec<(Chain, ChainHead)>, KeptError> {
    let file = File::open(path).await.map_err(KeptError::Read)?;
    let mut file = BufReader::new(file);
    let mut kept: BTreeMap<Option<String>, (u64, Logged)> = BTreeMap::new();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let mut bounded = (&mut file).take(MAX_LINE);
        let read = bounded.read_until(b'\n', &mut text).await;
        if read.map_err(KeptError::Read)? == 0 {
            break;
        }
        let logged: Logged = serde_json::from_slice(&text).map_err(|_| KeptError::Line(line))?;
        let before = kept.get(&logged.tenant_id);
        if before.is_none_or(|(_, before)| before.length <= logged.length) {
            kept.insert(logged.tenant_id.clone(), (line, logged));
        }
    }
    if kept.is_empty() {
        return Err(KeptError::Empty);
    }
    let read = |(line, logged): (u64, Logged)| {
        let (chain, head) = heads::read(tokens, &logged.signed)
            .map_err(|source| KeptError::Signature { line, source })?;
        let named = chain.tenant_id().map(ToString::to_string);
        if named != logged.tenant_id || head.length != logged.length {
            return Err(KeptError::OtherHead(line));
        }
        Ok((chain, head))
    };
    kept.into_values().map(read).collect()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn tokens() -> Tokens {
        let key = Tokens::fresh_key().expect("key");
        Tokens::load("https://id.example", &key).expect("tokens")
    }

    fn acme() -> Chain {
        Chain::Tenant("acme".parse().expect("id"))
    }

    fn head(length: u64) -> ChainHead {
        ChainHead {
            length,
            hash: [7; 32],
        }
    }

    fn line(tokens: &Tokens, chain: Chain, length: u64) -> String {
        let head = head(length);
        let tenant_id = chain.tenant_id().map(ToString::to_string);
        let signed = heads::sign(tokens, chain, head, OffsetDateTime::UNIX_EPOCH).expect("signed");
        let mut line = serde_json::json!({
            "message": "audit head", "length": length, "signed": signed.signature,
        });
        // The log leaves out what the platform's chain does not have.
        if let Some(tenant_id) = tenant_id {
            line["tenant_id"] = tenant_id.into();
        }
        format!("{line}\n")
    }

    async fn read(tokens: &Tokens, text: &str) -> Result<Vec<(Chain, ChainHead)>, KeptError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        longest(tokens, file.path()).await
    }

    #[tokio::test]
    async fn the_longest_head_of_each_chain_counts_wherever_it_stands() {
        let tokens = tokens();
        let lines = [
            (Chain::Platform, 2),
            (acme(), 3),
            (acme(), 10),
            (Chain::Platform, 4),
            (acme(), 9),
        ];
        let text: String = lines
            .map(|(chain, length)| line(&tokens, chain, length))
            .concat();
        let kept = read(&tokens, text.trim_end()).await.expect("heads");
        assert_eq!(kept, [(Chain::Platform, head(4)), (acme(), head(10))]);
    }

    /// It would hide every longer head of its chain.
    #[tokio::test]
    async fn a_line_that_says_more_than_its_signature_is_named() {
        let tokens = tokens();
        let (long, short) = (line(&tokens, acme(), 10), line(&tokens, Chain::Platform, 3));
        for (true_one, forged) in [
            ("\"length\":3", "\"length\":999"),
            ("\"length\":3", "\"length\":999,\"tenant_id\":\"acme\""),
        ] {
            assert!(short.contains(true_one), "{short}");
            let text = format!("{long}{}", short.replace(true_one, forged));
            let outcome = read(&tokens, &text).await;
            assert!(
                matches!(outcome, Err(KeptError::OtherHead(2))),
                "{outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_head_of_the_platform_is_named_by_its_line() {
        let (ours, theirs) = (tokens(), tokens());
        let good = line(&ours, Chain::Platform, 1);
        let long = "x".repeat(100_000);
        for bad in ["\n", "{}\n", "{\"length\": 2\n", &long, "\u{fffd}"] {
            let outcome = read(&ours, &format!("{good}{bad}")).await;
            assert!(matches!(outcome, Err(KeptError::Line(2))), "{outcome:?}");
        }
        let foreign = line(&theirs, acme(), 1);
        let outcome = read(&ours, &format!("{good}{foreign}")).await;
        assert!(
            matches!(outcome, Err(KeptError::Signature { line: 2, .. })),
            "{outcome:?}"
        );
        let outcome = read(&ours, "").await;
        assert!(matches!(outcome, Err(KeptError::Empty)), "{outcome:?}");
    }
}
