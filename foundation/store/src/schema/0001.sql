-- Schema version 1. This file is frozen: whatever changes later is a file of its own.
--
-- Times are microseconds since 1970-01-01 UTC, keys are blobs of 32 bytes, the address of a client is a host number
-- (below) and a blob of 16 bytes; everything else that there is little of is text in its usual form. A table with
-- `id = 1` has at most one row. Every process reads this text anew, so that it says no more than it must.

-- Facts about the tables that would cost a walk over them to find out. Always one row.
CREATE TABLE counters (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL,  -- grows by one with every committed change
    clients INTEGER NOT NULL,     -- rows of `clients`
    last_host INTEGER NOT NULL    -- no client ever had a host number above this one
) STRICT;
INSERT INTO counters VALUES (1, 0, 0, 1);

-- The server. No row: the system was never set up.
CREATE TABLE server (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    private_key BLOB NOT NULL CHECK (length(private_key) = 32),
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    server_ip TEXT NOT NULL,
    endpoint TEXT,
    ipv6 TEXT,
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    subnet TEXT NOT NULL,
    subnet6 TEXT,
    interface TEXT NOT NULL,
    backend_choice TEXT NOT NULL CHECK (backend_choice IN ('auto', 'kernel', 'embedded')),
    backend TEXT NOT NULL CHECK (backend IN ('kernel', 'embedded')),
    stopped_in TEXT,              -- the run of the system in which the service was stopped
    ip_forward_before TEXT,       -- what net.ipv4.ip_forward was before setup
    created INTEGER NOT NULL
) STRICT;

-- Clients. They are numbered within the subnet: the address is the subnet's network address plus `host`. So no client
-- can lie outside the subnet, and a change of the subnet moves only those that do not fit the new one.
CREATE TABLE clients (
    host INTEGER PRIMARY KEY CHECK (host BETWEEN 2 AND 4294967294),
    name TEXT NOT NULL UNIQUE COLLATE NOCASE
        CHECK (length(name) BETWEEN 1 AND 50 AND name NOT GLOB '*[^A-Za-z0-9_-]*' AND name NOT GLOB '-*'),
    address6 BLOB CHECK (length(address6) = 16),
    private_key BLOB NOT NULL CHECK (length(private_key) = 32),
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
    preshared_key BLOB NOT NULL CHECK (length(preshared_key) = 32),
    created INTEGER NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1))
) STRICT;
CREATE INDEX clients_by_age ON clients (created, name COLLATE BINARY);
-- Partial, so that a client without IPv6 costs no entry.
CREATE UNIQUE INDEX clients_by_address6 ON clients (address6) WHERE address6 IS NOT NULL;

-- The host numbers from 2 to `counters.last_host` that no client has: the lowest one is found without a search.
CREATE TABLE free_hosts (host INTEGER PRIMARY KEY) STRICT;

-- These keep the counters and the free numbers true to `clients`, whoever writes there.
CREATE TRIGGER client_added AFTER INSERT ON clients BEGIN
    DELETE FROM free_hosts WHERE host = NEW.host;
    UPDATE counters SET clients = clients + 1, last_host = max(last_host, NEW.host);
END;
CREATE TRIGGER client_moved AFTER UPDATE OF host ON clients BEGIN
    INSERT INTO free_hosts VALUES (OLD.host);
    DELETE FROM free_hosts WHERE host = NEW.host;
    UPDATE counters SET last_host = max(last_host, NEW.host);
END;
CREATE TRIGGER client_removed AFTER DELETE ON clients BEGIN
    INSERT INTO free_hosts VALUES (OLD.host);
    UPDATE counters SET clients = clients - 1;
END;

-- What the operator can set. Always one row.
CREATE TABLE settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    restart_service_after_client_creation INTEGER NOT NULL DEFAULT 0,
    block_ipv6_leak INTEGER NOT NULL DEFAULT 1,
    language TEXT CHECK (language IN ('en', 'tr')),
    dns_primary TEXT NOT NULL DEFAULT '8.8.8.8',
    dns_secondary TEXT NOT NULL DEFAULT '8.8.4.4',
    exit_interface TEXT NOT NULL DEFAULT 'wg_vpn',
    acme_directory TEXT NOT NULL DEFAULT 'https://acme-v02.api.letsencrypt.org/directory'
) STRICT;
INSERT INTO settings (id) VALUES (1);

-- Ghost Mode. A row: it is active.
CREATE TABLE ghost (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    domain TEXT NOT NULL,
    secret TEXT NOT NULL CHECK (length(secret) = 64 AND secret NOT GLOB '*[^A-Za-z0-9]*'),
    certificate_source TEXT NOT NULL CHECK (certificate_source IN ('acme', 'operator', 'self_signed')),
    cert_path TEXT,
    key_path TEXT,
    addresses TEXT NOT NULL DEFAULT '',  -- what the domain's A records were when it was switched on
    decoy TEXT,                   -- a web server on this machine that strangers are shown
    activated_at INTEGER NOT NULL,
    CHECK ((certificate_source = 'operator') = (cert_path IS NOT NULL) AND (cert_path IS NULL) = (key_path IS NULL))
) STRICT;

-- Imported exits. Lists are as in a WireGuard configuration: their elements separated by ', '.
CREATE TABLE exits (
    name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 50 AND name NOT GLOB '*[^a-z0-9_-]*' AND name NOT GLOB '-*'),
    private_key BLOB NOT NULL CHECK (length(private_key) = 32),
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    preshared_key BLOB CHECK (length(preshared_key) = 32),
    endpoint TEXT NOT NULL,
    addresses TEXT NOT NULL,      -- IPv4 addresses with prefix lengths
    allowed_ips TEXT NOT NULL,
    mtu INTEGER NOT NULL CHECK (mtu BETWEEN 1280 AND 1420),
    keepalive INTEGER NOT NULL CHECK (keepalive BETWEEN 1 AND 60),
    file_mtu INTEGER,             -- what the imported file said, for the report on what was changed
    file_keepalive INTEGER,
    provider TEXT NOT NULL,
    original_path TEXT NOT NULL,
    imported_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Multihop. A row: it is enabled, through this exit.
CREATE TABLE multihop (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    exit TEXT NOT NULL REFERENCES exits (name),
    kill_switch INTEGER NOT NULL DEFAULT 1 CHECK (kill_switch IN (0, 1)),
    fallback_exits TEXT NOT NULL DEFAULT '',  -- names in their order
    activated_at INTEGER NOT NULL
) STRICT;

-- What carries the traffic while it is enabled: that exit or one of the fallbacks. No row: that exit, not resolved yet.
CREATE TABLE exit_in_use (
    id INTEGER PRIMARY KEY REFERENCES multihop (id) ON DELETE CASCADE,
    exit TEXT NOT NULL REFERENCES exits (name),
    address TEXT,                 -- what its end point was resolved to, with the port
    staged TEXT REFERENCES exits (name),  -- an exit that is tried beside it
    staged_address TEXT
) STRICT;

-- The log of the current or last session through an exit, which may be gone by now.
CREATE TABLE session_records (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    exit TEXT NOT NULL,
    event TEXT NOT NULL,
    details TEXT                  -- JSON: the values that the sentence about the event contains
) STRICT;

-- Backups of subnet changes; `id` is the name of the folder.
CREATE TABLE backups (
    id TEXT PRIMARY KEY CHECK (id NOT GLOB '*[^a-z0-9_]*'),
    created INTEGER NOT NULL,
    from_subnet TEXT NOT NULL,
    to_subnet TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What a module of someone else keeps, as JSON.
CREATE TABLE documents (
    module TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL CHECK (json_valid(value)),
    PRIMARY KEY (module, key)
) STRICT, WITHOUT ROWID;
