-- Schema version 5. This file is frozen: whatever changes later is a file of its own.
--
-- How far the tables of each module are: a module brings numbered steps of its own, and this is the last one that was taken. No row:
-- none. The tables that versions 1 to 4 made for modules are as they were.

CREATE TABLE module_schemas (
    module TEXT PRIMARY KEY,
    version INTEGER NOT NULL CHECK (version > 0)
) STRICT, WITHOUT ROWID;
