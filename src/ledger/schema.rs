//! The tables, and how those of an earlier version become those of this one.

/// The version of the tables, kept in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 1;

/// `delivery` may grow to millions of rows: the key is the table itself, and the one index grows at its end only, because
/// `begun` is the time of the insertion; it costs one more page a commit and saves the expiry from walking the table.
pub(super) const TABLES: &str = "
    CREATE TABLE delivery (id BLOB PRIMARY KEY, begun INTEGER NOT NULL, delivered INTEGER) STRICT, WITHOUT ROWID;
    CREATE INDEX delivery_begun ON delivery (begun);
    CREATE TABLE refusal (id BLOB PRIMARY KEY, first INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX refusal_first ON refusal (first);
    CREATE TABLE notice (id BLOB PRIMARY KEY, time INTEGER NOT NULL, sent INTEGER NOT NULL, address TEXT NOT NULL,
                         domain TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX notice_time ON notice (time);
    CREATE INDEX notice_address ON notice (address, time);
    CREATE INDEX notice_domain ON notice (domain, time);
    CREATE INDEX notice_reserved ON notice (sent) WHERE sent = 0;
    CREATE TABLE chore (name TEXT PRIMARY KEY, done INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";
