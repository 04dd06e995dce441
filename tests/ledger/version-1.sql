-- A ledger as mailhatch 0.1.0 makes it (src/ledger/open.rs of that version), with one row of each kind.
PRAGMA journal_mode = WAL;
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
INSERT INTO delivery VALUES (x'00000000000000000000000000000001', unixepoch() - 1000, unixepoch() - 999);
INSERT INTO refusal VALUES (x'00000000000000000000000000000002', unixepoch() - 5000);
INSERT INTO notice VALUES (x'00000000000000000000000000000003', unixepoch() - 1000, 1, 'jane@example.org', 'example.org');
