-- Schema version 3. This file is frozen: whatever changes later is a file of its own.
--
-- Networks outside the VPN that may open connections to clients: a list as in a WireGuard configuration, empty for none.

ALTER TABLE settings ADD COLUMN reach_from TEXT NOT NULL DEFAULT '';

-- How the web server that strangers are shown is connected to: from which address of this host (the server's own in the VPN where
-- it is not set), and with which header that tells the stranger's address.

ALTER TABLE ghost ADD COLUMN decoy_source TEXT;
ALTER TABLE ghost ADD COLUMN decoy_proxy TEXT CHECK (decoy_proxy IN ('v1', 'v2'));
