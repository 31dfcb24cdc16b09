-- Schema version 4. This file is frozen: whatever changes later is a file of its own.
--
-- A web server in front of Ghost Mode's tunnel server: the socket at which it finds that one, the group that may connect there, and
-- the TCP port at which clients find the web server. All three, or none where the tunnel server has the port of HTTPS itself.

ALTER TABLE ghost ADD COLUMN front_socket TEXT;
ALTER TABLE ghost ADD COLUMN front_group TEXT;
ALTER TABLE ghost ADD COLUMN front_port INTEGER
    CHECK ((front_port IS NULL) = (front_socket IS NULL) AND (front_port IS NULL) = (front_group IS NULL)
           AND (front_port IS NULL OR front_port BETWEEN 1 AND 65535));

-- A server that clients reach by a name, or by IPv6 alone, has no `server_ip`. The rest of the table is as in version 1.

ALTER TABLE server RENAME TO server_1;
CREATE TABLE server (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    private_key BLOB NOT NULL CHECK (length(private_key) = 32),
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    server_ip TEXT,
    endpoint TEXT,
    ipv6 TEXT,
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    subnet TEXT NOT NULL,
    subnet6 TEXT,
    interface TEXT NOT NULL,
    backend_choice TEXT NOT NULL CHECK (backend_choice IN ('auto', 'kernel', 'embedded')),
    backend TEXT NOT NULL CHECK (backend IN ('kernel', 'embedded')),
    stopped_in TEXT,
    ip_forward_before TEXT,
    created INTEGER NOT NULL
) STRICT;
INSERT INTO server SELECT * FROM server_1;
DROP TABLE server_1;

-- Whether packet filters of others are opened for the server's own ports.

ALTER TABLE settings ADD COLUMN open_firewall INTEGER NOT NULL DEFAULT 1 CHECK (open_firewall IN (0, 1));
