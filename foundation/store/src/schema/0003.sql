-- Schema version 3. This file is frozen: whatever changes later is a file of its own.
--
-- Networks outside the VPN that may open connections to clients: a list as in a WireGuard configuration, empty for none.

ALTER TABLE settings ADD COLUMN reach_from TEXT NOT NULL DEFAULT '';
