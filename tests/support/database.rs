//! The database and a folder as text, to compare "before" and "after".

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// All tables with all rows as stable text. Blobs, among them every secret, are shown by a hash. An installation that
/// was never set up has one text, whether its database has been made or not.
pub fn dump_database(file: &Path) -> String {
    if !file.exists() {
        return "nothing is stored\n".to_owned();
    }
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let never = "SELECT generation = 0 AND NOT EXISTS (SELECT 1 FROM server) FROM counters";
    if connection.query_row(never, (), |row| row.get(0)).unwrap() {
        return "nothing is stored\n".to_owned();
    }
    let list = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    let mut statement = connection.prepare(list).unwrap();
    let tables: Vec<String> =
        statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut text = String::new();
    for table in tables {
        let mut rows = dump_table(&connection, &table);
        rows.sort();
        text.extend([format!("[{table}]\n"), rows.concat()]);
    }
    text
}

fn dump_table(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let row = |row: &rusqlite::Row<'_>| {
        let cell = |(at, name): (usize, &String)| format!("{name}={} ", cell(row.get_ref(at).unwrap()));
        Ok(names.iter().enumerate().map(cell).collect::<String>() + "\n")
    };
    statement.query_map((), row).unwrap().map(Result::unwrap).collect()
}

fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => hash(bytes),
    }
}

/// FNV-1a, shown in part: equal bytes give equal texts, and no text gives the bytes.
fn hash(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("#{:012x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step) >> 16)
}

/// A hash of a text that is the same in whichever order its sections stand, which blank lines divide.
pub(crate) fn hash_of_sections(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let mut sections: Vec<&str> = text.trim_end().split("\n\n").collect();
    sections.sort_unstable();
    hash(sections.join("\n\n").as_bytes())
}

/// A hash of a text that is the same in whichever order its lines come.
pub(crate) fn hash_of_lines(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    hash(lines.join("\n").as_bytes())
}

/// Everything below a folder, a line each: path, kind, mode, owner, length and a hash of the content. A folder that
/// is not there is an empty text.
pub fn dump_tree(dir: &Path) -> String {
    let mut lines = Vec::new();
    walk(dir, &mut lines);
    lines.sort();
    lines.concat()
}

fn walk(path: &Path, lines: &mut Vec<String>) {
    let Ok(found) = fs::symlink_metadata(path) else { return };
    let (mode, uid, shown) = (found.mode() & 0o7777, found.uid(), path.display());
    if found.is_dir() {
        lines.push(format!("{shown}/ {mode:04o} {uid}\n"));
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| walk(&entry.path(), lines));
    } else {
        let content = fs::read(path).unwrap_or_default();
        lines.push(format!("{shown} {mode:04o} {uid} {} {}\n", content.len(), hash(&content)));
    }
}
