-- Schema version 2. This file is frozen: whatever changes later is a file of its own.
--
-- A client has an id, which no other client had or will have, and a secret of its own for the tunnel. Its private key and its
-- preshared key may be missing. Networks behind it (`extra_ips`) are a list as in a WireGuard configuration, empty for none. Its
-- IPv6 address is any that no other client has. The rest is as in version 1, which describes it.
--
-- `os_random(n)` is a function of the program: n bytes of the operating system's randomness.

ALTER TABLE counters ADD COLUMN last_id INTEGER NOT NULL DEFAULT 0;
UPDATE counters SET last_id = last_host - 1;

ALTER TABLE clients RENAME TO clients_1;
CREATE TABLE clients (
    host INTEGER PRIMARY KEY CHECK (host BETWEEN 2 AND 4294967294),
    id INTEGER NOT NULL CHECK (id BETWEEN 1 AND 4294967295),
    name TEXT NOT NULL COLLATE NOCASE
        CHECK (length(name) BETWEEN 1 AND 50 AND name NOT GLOB '*[^A-Za-z0-9_-]*' AND name NOT GLOB '-*'),
    address6 BLOB CHECK (length(address6) = 16),
    extra_ips TEXT NOT NULL DEFAULT '',
    private_key BLOB CHECK (length(private_key) = 32),
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    preshared_key BLOB CHECK (length(preshared_key) = 32),
    tunnel_secret BLOB NOT NULL CHECK (length(tunnel_secret) = 32),
    created INTEGER NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1))
) STRICT;
INSERT INTO clients
    SELECT host, host - 1, name, address6, '', private_key, public_key, preshared_key, os_random(32), created, enabled
    FROM clients_1;
DROP TABLE clients_1;

-- Made after the rows are there: sorted once, which costs a fraction of keeping them sorted row by row.
CREATE UNIQUE INDEX clients_by_id ON clients (id);
CREATE UNIQUE INDEX clients_by_name ON clients (name);
CREATE UNIQUE INDEX clients_by_key ON clients (public_key);
CREATE INDEX clients_by_age ON clients (created, name COLLATE BINARY);
CREATE UNIQUE INDEX clients_by_address6 ON clients (address6) WHERE address6 IS NOT NULL;

CREATE TRIGGER client_added AFTER INSERT ON clients BEGIN
    SELECT RAISE(ABORT, 'an id is given once') FROM counters WHERE NEW.id <= last_id;
    DELETE FROM free_hosts WHERE host = NEW.host;
    UPDATE counters SET clients = clients + 1, last_host = max(last_host, NEW.host), last_id = NEW.id;
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
