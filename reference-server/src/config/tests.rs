use std::collections::HashMap;

use super::*;

fn config(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let vars: HashMap<_, _> = vars.iter().copied().collect();
    Config::from_lookup(|name| vars.get(name).map(Into::into), false)
}

#[test]
fn an_empty_environment_is_a_server_on_loopback() {
    let config = config(&[]).expect("defaults");
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.metrics_listen.to_string(), "127.0.0.1:9464");
    assert_eq!(config.migrate, Migrate::Auto);
    assert!(config.rate_limits);
    assert!(config.public_url.is_none() && config.palm_server.is_none());
    assert!(config.first_admin.is_none() && config.data_keys.is_none());
    assert!(
        matches!(config.database, Database::Sqlite(path) if path.as_path().ends_with("identity.db"))
    );
    assert_eq!(config.audit.retention_months, None);
    assert!(config.mail.is_none());
    assert_eq!(config.product_name, "Link Identity");
    assert_eq!(
        config.log,
        Log {
            filter: "info".into(),
            format: LogFormat::Json
        }
    );
}

#[test]
fn what_is_set_counts() {
    let config = config(&[
        ("DATABASE_URL", "sqlite:///var/lib/id.db"),
        ("IDENTITY_MIGRATE", "off"),
        ("PORT", "8443"),
        ("IDENTITY_PUBLIC_URL", "https://id.example"),
        ("BIOWAVE_URL", "http://palm:8080/base"),
        ("BIOWAVE_TIMEOUT_MS", "500"),
        ("PLATFORM_ADMIN_EMAIL", " Root@Example.COM "),
        ("PLATFORM_ADMIN_INITIAL_PASSWORD", "correct horse"),
        ("IDENTITY_RATE_LIMITS", "off"),
        ("IDENTITY_LOG", "warn,identity_store=debug"),
        ("IDENTITY_LOG_FORMAT", "pretty"),
    ])
    .expect("a good environment");
    assert_eq!(config.listen.to_string(), "0.0.0.0:8443");
    assert_eq!(config.migrate, Migrate::Off);
    assert!(!config.rate_limits);
    let palm = config.palm_server.expect("palm server");
    assert_eq!(palm.timeout, Duration::from_millis(500));
    let admin = config.first_admin.expect("first administrator");
    assert_eq!(admin.email, "root@example.com");
    assert_eq!(format!("{:?}", admin.password), "InitialPassword(..)");
    assert_eq!(config.log.format, LogFormat::Pretty);
}

#[test]
fn the_listener_wins_over_the_port() {
    let listen = config(&[("IDENTITY_LISTEN", "[::1]:1"), ("PORT", "2")]).map(|c| c.listen);
    assert_eq!(
        listen.map(|l| l.to_string()).ok().as_deref(),
        Some("[::1]:1")
    );
}

#[test]
fn a_bad_value_is_refused_in_one_line_that_names_the_variable() {
    for (name, value) in [
        ("DATABASE_URL", "postgres://localhost"),
        ("DATABASE_URL", "postgres://localhost:port/identity"),
        (
            "DATABASE_URL",
            "postgres://localhost/identity?sslmode=allow",
        ),
        ("DATABASE_URL", "postgres://localhost/identity?pasword=slip"),
        ("DATABASE_URL", "mysql://localhost/identity"),
        ("DATABASE_URL", "sqlite://"),
        ("DB_PORT", "0x10"),
        ("DB_SSLMODE", "allow"),
        ("DB_MAX_OPEN_CONNS", "0"),
        ("DB_MAX_IDLE_CONNS", "17"),
        ("DB_CONN_MAX_LIFETIME", "5"),
        ("DB_CONN_MAX_IDLE_TIME", "-1m"),
        ("IDENTITY_AUDIT_RETENTION_MONTHS", "1201"),
        ("IDENTITY_MIGRATE", "maybe"),
        ("IDENTITY_LISTEN", "localhost"),
        ("PORT", "70000"),
        ("IDENTITY_METRICS_LISTEN", "9464"),
        ("IDENTITY_PUBLIC_URL", "https://id.example/base"),
        ("IDENTITY_PUBLIC_URL", "https://user@id.example"),
        ("IDENTITY_PUBLIC_URL", "ftp://id.example"),
        ("IDENTITY_DATA_ENCRYPTION_KEYS", "k1"),
        ("BIOWAVE_URL", "palm:8080"),
        ("BIOWAVE_TIMEOUT_MS", "0"),
        ("PLATFORM_ADMIN_INITIAL_PASSWORD", "alone"),
        ("IDENTITY_RATE_LIMITS", "false"),
        ("IDENTITY_PROXY_PROTOCOL", "10.0.0.0/33"),
        ("IDENTITY_PROXY_PROTOCOL", "10.0.0.1/8"),
        ("IDENTITY_LOG", "info,=="),
        ("IDENTITY_LOG_FORMAT", "xml"),
    ] {
        let error = config(&[(name, value)]).expect_err(name).to_string();
        assert!(!error.contains('\n'), "{error}");
        let named = error.starts_with(name) || error.starts_with("PLATFORM_ADMIN_EMAIL");
        assert!(named, "{name}: {error}");
    }
}

fn postgres_url(vars: &[(&str, &str)]) -> String {
    match config(vars).expect("a good environment").database {
        Database::Postgres(url) => url.expose().to_owned(),
        Database::Sqlite(path) => panic!("{path:?}"),
    }
}

#[test]
fn postgresql_is_named_by_a_url_or_by_the_parts_of_one() {
    let url = "postgresql://id:secret@db/identity?sslmode=verify-full";
    assert_eq!(postgres_url(&[("DATABASE_URL", url)]), url);
    // What a URL says counts, and the parts do not.
    let both = [("DATABASE_URL", url), ("DB_HOST", "other")];
    assert_eq!(postgres_url(&both), url);

    let parts = [
        ("DB_HOST", "db.example:6432"),
        ("DB_USER", "id"),
        ("DB_NAME", "identity"),
    ];
    assert_eq!(
        postgres_url(&parts),
        "postgres://?host=db.example&port=6432&user=id&dbname=identity&sslmode=disable"
    );
    let more = [
        ("DB_PORT", "5433"),
        ("DB_PASSWORD", "p&ss w/rd"),
        ("DB_SSLMODE", "verify-ca"),
    ];
    assert_eq!(
        postgres_url(&[&parts[..], &more].concat()),
        "postgres://?host=db.example&port=5433&user=id&dbname=identity&sslmode=verify-ca\
         &password=p%26ss+w%2Frd"
    );
}

#[test]
fn half_a_postgresql_configuration_names_the_variable_that_is_missing() {
    let user = ("DB_USER", "id");
    let (host, name) = (("DB_HOST", "db"), ("DB_NAME", "identity"));
    for (vars, missing) in [
        (&[user][..], "DB_HOST"),
        (&[("DB_PASSWORD", "secret")], "DB_HOST"),
        (&[host, name], "DB_USER"),
        (&[host, user], "DB_NAME"),
    ] {
        let error = config(vars).expect_err(missing).to_string();
        assert!(error.starts_with(missing), "{error}");
    }
}

#[test]
fn a_database_password_is_never_shown() {
    const SECRET: &str = "hunter2-canary";
    let url = |text: &str| format!("postgres://id:{SECRET}@{text}");
    let shown = |vars: &[(&str, &str)]| match config(vars) {
        Ok(config) => format!("{config:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    for vars in [
        &[("DATABASE_URL", &*url("db/identity"))][..],
        &[("DATABASE_URL", &*url("db:port/identity"))],
        &[("DATABASE_URL", &*url("db/identity?sslmode=no"))],
        &[("DATABASE_URL", &*url("db/identity"))],
        &[("DB_HOST", "db"), ("DB_PASSWORD", SECRET)],
        &[("DB_HOST", &*format!("id:{SECRET}@db"))],
        &[
            ("DB_HOST", "db"),
            ("DB_USER", "id"),
            ("DB_NAME", "identity"),
            ("DB_PASSWORD", SECRET),
        ],
    ] {
        let shown = shown(vars);
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn the_pool_has_the_defaults_of_the_contract_and_takes_durations_of_go() {
    let pool = |vars: &[(&str, &str)]| config(vars).expect("a good environment").pool;
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    let default = Pool {
        max_open: 16,
        max_idle: 4,
        max_lifetime: minutes(5),
        max_idle_time: minutes(1),
    };
    assert_eq!(pool(&[]), default);
    // Fewer connections than are kept by default: fewer are kept.
    let two = pool(&[("DB_MAX_OPEN_CONNS", "2")]);
    assert_eq!((two.max_open, two.max_idle), (2, 2));
    let chosen = pool(&[
        ("DB_MAX_OPEN_CONNS", "40"),
        ("DB_MAX_IDLE_CONNS", "0"),
        ("DB_CONN_MAX_LIFETIME", "1h30m"),
        ("DB_CONN_MAX_IDLE_TIME", "0"),
    ]);
    assert_eq!(
        chosen,
        Pool {
            max_open: 40,
            max_idle: 0,
            max_lifetime: minutes(90),
            max_idle_time: None,
        }
    );
}

#[test]
fn rows_that_go_need_a_folder_for_their_archives() {
    let error = config(&[("IDENTITY_AUDIT_RETENTION_MONTHS", "12")]).expect_err("no folder");
    assert!(error.to_string().starts_with("IDENTITY_AUDIT_ARCHIVES"));
    let both = config(&[
        ("IDENTITY_AUDIT_RETENTION_MONTHS", "12"),
        ("IDENTITY_AUDIT_ARCHIVES", "/var/lib/identity/audit"),
    ]);
    let months = both.expect("good").audit.retention_months;
    assert_eq!(months, NonZeroU32::new(12));
}
