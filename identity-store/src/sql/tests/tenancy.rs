//! No statement sees a row of a tenant that it was not given.
//!
//! Of each table with rows of tenants that a statement names, it says whose rows it means: their
//! `tenant_id` is a value that is bound, or equals that of another table of which it says so. What is
//! about several tenants is listed, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::CharIndices;

use sqlx::Row as _;

use super::{File, readers, statements};

/// Columns whose value is one row's over all tenants, and tells whose that row is.
const TELLING: &[(&str, &str)] = &[
    // What a device, or a client, says of itself before anybody knows its tenant.
    ("devices", "pairing_code_hash"),
    ("oauth_clients", "client_id"),
    // No key or certificate is two devices', of one tenant or of two.
    ("issued_certificates", "serial"),
    ("issued_certificates", "spki_sha256"),
    ("revoked_cert_fingerprints", "tbs_sha256"),
];

/// Parts of statements that are about several tenants.
const PLATFORM_WIDE: &[&str] = &[
    // The platform's administrator lists tenants, and sets the policy that their settings must suit.
    "FROM tenants WHERE (created_at, tenant_id) < ($1, $2)",
    "SELECT tenant_id, config FROM tenants ORDER BY tenant_id",
    // One sealer gives the rows of all chains their places, and events theirs in the outbox.
    "SELECT count(*) AS rows FROM audit_intake",
    "FROM audit_intake ORDER BY position LIMIT $1",
    "JOIN audit_intake intake ON intake.position = place.position",
    "DELETE FROM audit_intake WHERE position IN (",
    "SELECT tenant_id, length, hash FROM audit_chains WHERE tenant_id IN (",
    "FROM audit_chains WHERE signed_length < length",
    "SELECT position FROM outbox_intake ORDER BY position LIMIT $1",
    "FROM outbox_intake event WHERE event.position IN (",
    "DELETE FROM outbox_intake WHERE position IN (",
    // The operator's commands verify all chains, and drop months of all of them.
    "FROM (SELECT '' AS tenant_id UNION ALL SELECT tenant_id FROM tenants) known",
    "WITH RECURSIVE due(chain) AS (",
    "DELETE FROM audit_rows WHERE at < $1",
    // The operator keeps the tombstones of all tenants.
    "FROM erasures e WHERE (e.tenant_id, e.erasure_id) > ($1, $2)",
    // One job makes the events of all tenants deliveries, and another forgets old ones.
    "FROM outbox WHERE position > $1 ORDER BY position LIMIT $2",
    "FROM webhook_endpoints WHERE tenant_id IN (",
    "(SELECT at FROM outbox ORDER BY position LIMIT 1)",
    "FROM outbox WHERE position <= $1 ORDER BY position LIMIT $2",
    "DELETE FROM outbox_numbers WHERE (tenant_id, subject) IN (",
    "DELETE FROM webhook_deliveries WHERE event_position <= $1",
    "DELETE FROM outbox WHERE position <= $1",
    // The denylist that a handshake is decided by is all tenants'.
    "(SELECT revoked_at FROM revoked_cert_fingerprints ORDER BY sequence LIMIT 1)",
    "FROM revoked_cert_fingerprints WHERE sequence > $1 ORDER BY sequence LIMIT $2",
    "tbs_sha256 FROM revoked_cert_fingerprints WHERE $1 = 0 AND sequence > $2",
    "tbs_sha256 FROM revoked_cert_fingerprints WHERE (xact, sequence) > ($1, $2)",
    "DELETE FROM revoked_cert_fingerprints WHERE not_after < $1",
    // The platform's administrator reads the ledger.
    "FROM issued_certificates WHERE (issued_at, serial) < ($1, $2)",
    "FROM issued_certificates WHERE device_id = $4 AND (issued_at, serial) < ($1, $2)",
    // A CA is the platform's, and has devices of all tenants.
    "AND d.active_serial = c.serial WHERE c.ca_fingerprint = $1",
    "FROM devices WHERE (tenant_id, device_id) > ($1, $2) ORDER BY tenant_id, device_id LIMIT $3",
    // What is due, whose it may be.
    "WITH RECURSIVE waiting (endpoint_id) AS (",
    "c WHERE status IN ('pending', 'in_progress') AND expires_at <= $1 ORDER BY expires_at",
    "FROM renewal_graces WHERE ends_at <= $1",
    "WHERE e.completed_at IS NULL AND (e.requested_at, e.tenant_id, e.erasure_id) > ($1, $2, $3)",
    "FROM revoked_tokens WHERE expires_at <= $1",
    "FROM used_assertions WHERE expires_at <= $1",
    "FROM backchannel_requests WHERE expires_at <= $1",
    "FROM backchannel_requests WHERE notify_at <= $1",
    "FROM palm_erasures ORDER BY requested_at, tenant_id, user_id, palm_type LIMIT $1",
    "FROM jobs WHERE status IN ('queued', 'running') AND (created_at, job_id) > ($1, $2) ORDER BY",
    "SELECT tenant_id, job_id FROM jobs WHERE ended_at < $1 LIMIT $2",
    // Whether a file has anything in the open.
    "SELECT 1 FROM users UNION ALL SELECT 1 FROM open_console_users",
];

/// The same of statements that the suite does not begin: whoever encrypts what the database holds, under
/// another key or at all, reads all of it.
const OF_A_DATA_KEY: &[&str] = &[
    "FROM users WHERE (tenant_id, user_id) > ($1, $2) ORDER BY tenant_id, user_id LIMIT $3",
    "FROM webhook_endpoints WHERE (tenant_id, endpoint_id) > ($1, $2) ORDER BY tenant_id, endpoint_id",
    "FROM backchannel_requests WHERE (tenant_id, challenge_id) > ($1, $2) ORDER BY tenant_id",
];

/// A piece of a statement.
#[derive(Debug, PartialEq)]
enum Token<'s> {
    /// A key word, a name, a parameter or a number.
    Word(&'s str),
    Sign(char),
    /// What stands in brackets.
    Group(Vec<Token<'s>>),
}

use Token::{Group, Sign, Word};

/// The pieces up to the bracket that closes, or to the end. What stands in quotes is none.
fn read<'s>(statement: &'s str, signs: &mut Peekable<CharIndices<'s>>) -> Vec<Token<'s>> {
    let is_of_word = |sign: char| sign.is_alphanumeric() || "_.$".contains(sign);
    let mut tokens = Vec::new();
    while let Some((from, sign)) = signs.next() {
        match sign {
            '(' => tokens.push(Group(read(statement, signs))),
            ')' => break,
            '\'' => while signs.next().is_some_and(|(_, sign)| sign != '\'') {},
            sign if is_of_word(sign) => {
                while signs.next_if(|(_, sign)| is_of_word(*sign)).is_some() {}
                let to = signs.peek().map_or(statement.len(), |(to, _)| *to);
                tokens.push(Word(&statement[from..to]));
            }
            sign if sign.is_whitespace() => {}
            sign => tokens.push(Sign(sign)),
        }
    }
    tokens
}

/// Tables with rows of tenants.
struct Tables(BTreeSet<String>);

impl Tables {
    /// Those with a tenant in each row.
    async fn of(file: &File) -> Self {
        const EACH: &str = "
            SELECT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
            WHERE t.type = 'table' AND c.name = 'tenant_id' AND (c.\"notnull\" OR c.pk > 0)";
        let store = file.open().await;
        let rows = sqlx::query(EACH).fetch_all(readers(&store)).await.unwrap();
        Self(rows.iter().map(|row| row.get("name")).collect())
    }

    /// The tables that a statement names without a tenant.
    fn left_open<'s>(&self, statement: &'s str) -> Vec<&'s str> {
        let mut found = Vec::new();
        let tokens = read(statement, &mut statement.char_indices().peekable());
        self.look_through(&tokens, &mut found);
        found
    }

    fn look_through<'s>(&self, tokens: &[Token<'s>], found: &mut Vec<&'s str>) {
        let ends = [Word("UNION"), Word("EXCEPT"), Word("INTERSECT"), Sign(';')];
        for part in tokens.split(|token| ends.contains(token)) {
            found.extend(self.left_open_by(part));
            for token in part {
                if let Group(inner) = token {
                    self.look_through(inner, found);
                }
            }
        }
    }

    /// As [`left_open`](Self::left_open), for one `SELECT`, `INSERT`, `UPDATE` or `DELETE`.
    fn left_open_by<'s>(&self, part: &[Token<'s>]) -> Vec<&'s str> {
        let mut named = BTreeMap::new();
        for (place, pair) in part.windows(2).enumerate() {
            let rest = &part[place + 2..];
            match *pair {
                // Each row that is inserted has what the schema demands; the condition is of others.
                [Word("INTO"), Word(_)] if has_column(rest, "tenant_id") => {}
                [
                    Word("FROM" | "JOIN" | "INTO" | "UPDATE" | "USING") | Sign(','),
                    Word(table),
                ] if self.0.contains(table) => {
                    named.insert(other_name(rest).unwrap_or(table), table);
                }
                _ => {}
            }
        }
        let said = Said::of(part, &named);
        let mut given = said.given;
        loop {
            let known = given.len();
            for (name, other) in &said.equal {
                if given.contains(other) {
                    given.insert(*name);
                }
            }
            if given.len() == known {
                break;
            }
        }
        named.retain(|name, _| !given.contains(name));
        named.into_values().collect()
    }
}

/// Whether the columns that follow the table of an `INSERT` are with this one.
fn has_column(rest: &[Token<'_>], column: &str) -> bool {
    let columns = rest.iter().find_map(|token| match token {
        Group(columns) => Some(columns),
        Word(_) | Sign(_) => None,
    });
    columns.is_some_and(|columns| columns.contains(&Word(column)))
}

/// What a statement calls a table, by what follows the table.
fn other_name<'s>(rest: &[Token<'s>]) -> Option<&'s str> {
    match *rest {
        [Word("AS"), Word(name), ..] => Some(name),
        // This program writes key words, and nothing else, in capitals.
        [Word(name), ..] if !name.bytes().all(|byte| byte.is_ascii_uppercase()) => Some(name),
        _ => None,
    }
}

/// What conditions say of the tables that are named.
#[derive(Default)]
struct Said<'s> {
    /// Those whose tenant is a value, or one that another statement around or inside this one says.
    given: BTreeSet<&'s str>,
    /// Those whose tenant is that of another one.
    equal: Vec<(&'s str, &'s str)>,
}

impl<'s> Said<'s> {
    fn of(part: &[Token<'s>], named: &BTreeMap<&'s str, &'s str>) -> Self {
        let mut said = Self::default();
        // Where one condition may hold instead of another, none is sure to.
        if part.contains(&Word("OR")) {
            return said;
        }
        // What an outer join's condition says, it says of the table that it joins.
        let mut of_one = None;
        for (place, token) in part.iter().enumerate() {
            match (token, &part[place + 1..]) {
                (Word("JOIN"), [Word(table), rest @ ..]) => {
                    let is_outer = place > 0 && part[place - 1] == Word("LEFT");
                    of_one = is_outer.then(|| other_name(rest).unwrap_or(table));
                }
                (Word("WHERE"), _) => of_one = None,
                _ => {}
            }
            if let Word("WHERE" | "ON" | "AND") = token {
                said.condition(&part[place + 1..], named, of_one);
            }
        }
        said
    }

    fn condition(
        &mut self,
        condition: &[Token<'s>],
        named: &BTreeMap<&'s str, &'s str>,
        of_one: Option<&'s str>,
    ) {
        let (left, right) = match *condition {
            [Word(left), Sign('='), Word(right), ..] => (left, Some(right)),
            [Word(left), Word("IN"), Group(_), ..] => (left, None),
            _ => return,
        };
        let named_by = |word: &'s str| column(word, named);
        for (this, other) in [(Some(left), right), (right, Some(left))] {
            let Some((name, column)) = this.and_then(named_by) else {
                continue;
            };
            if of_one.is_some_and(|one| one != name) {
                continue;
            }
            let other_name = other.and_then(named_by).map(|(name, _)| name);
            match (column, other, other_name) {
                ("tenant_id", Some(_), Some(other)) => self.equal.push((name, other)),
                ("tenant_id", Some(_), None) => _ = self.given.insert(name),
                (column, _, None) if TELLING.contains(&(named[name], column)) => {
                    self.given.insert(name);
                }
                _ => {}
            }
        }
    }
}

/// Whose column a word of a condition is, if it is one of a table that is named.
fn column<'s>(word: &'s str, named: &BTreeMap<&'s str, &'s str>) -> Option<(&'s str, &'s str)> {
    match word.split_once('.') {
        Some((name, column)) => named.contains_key(name).then_some((name, column)),
        None if word.starts_with(|sign: char| !sign.is_alphabetic()) => None,
        None => {
            let mut names = named.keys();
            let only = names.next().filter(|_| names.next().is_none());
            only.map(|name| (*name, word))
        }
    }
}

fn words(statement: &str) -> String {
    statement.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_says_whose_rows_it_means() {
    let tables = Tables::of(&File::new()).await;
    let (mut open, mut listed) = (Vec::new(), BTreeSet::new());
    let statements = statements::all().await.into_iter();
    for statement in statements.flat_map(|both| [both.sqlite, both.postgres].map(words)) {
        let found = tables.left_open(&statement);
        let is_in = |part: &&&str| statement.contains(**part);
        let mut wide = PLATFORM_WIDE.iter().chain(OF_A_DATA_KEY);
        match wide.find(is_in) {
            Some(part) if !found.is_empty() => _ = listed.insert(*part),
            None if !found.is_empty() => open.push(format!("{found:?}: {statement}")),
            // It would be found if it did not say so.
            Some(_) | None => {
                let forgetful = statement.replace("tenant_id = ", "tenant_id <> ");
                let tells = TELLING.iter().any(|(_, told)| statement.contains(told));
                let is_found = !tables.left_open(&forgetful).is_empty();
                assert!(tells || is_found || forgetful == statement, "{forgetful}");
            }
        }
    }
    assert!(open.is_empty(), "{open:#?}");
    let stale: Vec<_> = PLATFORM_WIDE
        .iter()
        .filter(|part| !listed.contains(*part))
        .collect();
    assert!(stale.is_empty(), "no statement is so any more: {stale:#?}");
}

#[tokio::test]
async fn a_tenant_that_is_forgotten_is_found() {
    let tables = Tables::of(&File::new()).await;
    let joined = |condition: &str| {
        format!("SELECT 1 FROM devices d LEFT JOIN issued_certificates c ON {condition}")
    };
    let both = ["issued_certificates", "devices"];
    for (statement, found) in [
        ("SELECT 1 FROM devices", &both[1..]),
        ("SELECT 1 FROM devices WHERE device_id = $1", &both[1..]),
        (
            "SELECT 1 FROM devices WHERE device_id = 'tenant_id = $1'",
            &both[1..],
        ),
        (
            "SELECT 1 FROM devices WHERE device_id = $1 AND tenant_id > $2",
            &both[1..],
        ),
        (
            "SELECT 1 FROM devices WHERE tenant_id = $1 OR device_id = $2",
            &both[1..],
        ),
        ("SELECT 1 FROM devices WHERE NOT tenant_id = $1", &both[1..]),
        (
            "SELECT 1 FROM devices WHERE (tenant_id = $1 OR $1 IS NULL)",
            &both[1..],
        ),
        (
            "SELECT 1 FROM tenants WHERE tenant_id = $1 UNION ALL SELECT 1 FROM devices",
            &both[1..],
        ),
        (
            "SELECT (SELECT count(*) FROM devices) FROM tenants WHERE tenant_id = $1",
            &both[1..],
        ),
        (
            "SELECT 1 FROM tenants t, devices d WHERE t.tenant_id = $1",
            &both[1..],
        ),
        (
            "UPDATE devices SET tenant_id = $1 WHERE device_id = $2",
            &both[1..],
        ),
        ("DELETE FROM devices WHERE device_id = $1", &both[1..]),
        (
            "DELETE FROM tenants USING devices d WHERE tenants.tenant_id = $1",
            &both[1..],
        ),
        ("INSERT INTO devices (device_id) VALUES ($1)", &both[1..]),
        (
            "INSERT INTO outbox (tenant_id) SELECT tenant_id FROM devices",
            &both[1..],
        ),
        (
            &joined("c.device_id = d.device_id WHERE d.tenant_id = $1"),
            &both[..1],
        ),
        (
            &joined("c.tenant_id = d.tenant_id WHERE d.device_id = $1"),
            &both,
        ),
        (
            &joined("c.tenant_id = d.tenant_id AND d.tenant_id = $1"),
            &both,
        ),
        (
            &joined("c.tenant_id = c.tenant_id WHERE d.tenant_id = $1"),
            &both[..1],
        ),
        (
            &joined("c.serial = d.active_serial WHERE d.tenant_id = $1"),
            &both[..1],
        ),
        // And where nothing is.
        (
            "SELECT 1 FROM devices AS d WHERE $1 = d.tenant_id AND (d.a = 1 OR d.b = 2)",
            &[],
        ),
        ("SELECT 1 FROM devices WHERE pairing_code_hash = $1", &[]),
        (
            "INSERT INTO outbox (tenant_id) SELECT tenant_id FROM devices WHERE tenant_id = $1",
            &[],
        ),
        (
            &joined("c.tenant_id = d.tenant_id WHERE d.tenant_id = $1"),
            &[],
        ),
    ] {
        assert_eq!(tables.left_open(statement), found, "{statement}");
    }
}

/// A look-up by one of them finds one row, so that it cannot find another tenant's beside it.
#[tokio::test]
async fn what_tells_whose_a_row_is_stands_in_one_row() {
    const UNIQUE: &str = "
        SELECT 1 FROM pragma_index_list($1) i WHERE i.\"unique\"
        AND (SELECT group_concat(name) FROM pragma_index_info(i.name)) = $2";
    let file = File::new();
    let store = file.open().await;
    for (table, column) in TELLING {
        let found = sqlx::query(UNIQUE).bind(*table).bind(*column);
        let found = found.fetch_optional(readers(&store)).await.unwrap();
        assert!(found.is_some(), "{table}.{column}");
    }
}
