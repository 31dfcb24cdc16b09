-- Schema version 4. This file is frozen: whatever changes later is a file of its own.
--
-- A web server in front of Ghost Mode's tunnel server: the socket at which it finds that one, the group that may connect there, and
-- the TCP port at which clients find the web server. All three, or none where the tunnel server has the port of HTTPS itself.

ALTER TABLE ghost ADD COLUMN front_socket TEXT;
ALTER TABLE ghost ADD COLUMN front_group TEXT;
ALTER TABLE ghost ADD COLUMN front_port INTEGER
    CHECK ((front_port IS NULL) = (front_socket IS NULL) AND (front_port IS NULL) = (front_group IS NULL)
           AND (front_port IS NULL OR front_port BETWEEN 1 AND 65535));
