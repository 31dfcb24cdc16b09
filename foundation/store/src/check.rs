//! Whether the stored state agrees with itself.

use std::collections::BTreeSet;

use phantom_types::{Said, quoted};
use rusqlite::Row;

use crate::error::StoreError;
use crate::state::State;

impl State<'_> {
    /// What the stored state contradicts itself in, in sentences; nothing if all is well.
    ///
    /// It reads everything, and is meant for tests and for looking into a damaged system: SQLite's own check of the
    /// file, the references between tables, the counters, that every host number up to the highest one ever given
    /// either is a client's or is free, and that no client has an id that was not given yet.
    pub fn contradictions(&self) -> Result<Vec<Said>, StoreError> {
        let text = |row: &Row<'_>| row.get::<_, String>(0);
        let lines: Vec<String> = self.all("PRAGMA integrity_check", (), text)?;
        let theirs = lines.iter().filter(|line| *line != "ok");
        let mut found: Vec<Said> = theirs.map(|line| Said::new(line.clone(), quoted(line))).collect();
        found.extend(self.all("PRAGMA foreign_key_check", (), |row| {
            let table = row.get::<_, String>(0)?;
            Ok(Said::new(
                format!("a row of {table} refers to nothing"),
                format!("{table} tablosunun bir satırı var olmayan bir kayda bağlı"),
            ))
        })?);
        let counters =
            self.first("SELECT clients, last_host FROM counters", (), |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let Some((clients, last)) = counters {
            self.check_hosts(clients, last, &mut found)?;
        }
        Ok(found)
    }

    fn check_hosts(&self, clients: u32, last: u32, found: &mut Vec<Said>) -> Result<(), StoreError> {
        let hosts = |table: &str| {
            let rows = self.all(&format!("SELECT host FROM {table}"), (), |row| row.get(0))?;
            Ok::<BTreeSet<u32>, StoreError>(rows.into_iter().collect())
        };
        let (taken, free) = (hosts("clients")?, hosts("free_hosts")?);
        let mut check = |holds: bool, en: &str, tr: &str| {
            if !holds {
                found.push(Said::new(en, tr));
            }
        };
        check(
            usize::try_from(clients) == Ok(taken.len()),
            "the counter of clients is wrong",
            "istemci sayacı yanlış",
        );
        check(
            taken.is_disjoint(&free),
            "a client's host number is free",
            "bir istemcinin adres numarası boşta görünüyor",
        );
        check(
            taken.union(&free).copied().eq(2..=last),
            "a host number is neither a client's nor free",
            "bir adres numarası ne bir istemcinin ne de boşta",
        );
        let sql = "SELECT 1 FROM clients, counters WHERE clients.id > last_id";
        check(
            self.first(sql, (), |_| Ok(()))?.is_none(),
            "a client has an id that was not given yet",
            "bir istemcinin kimlik numarası henüz verilmemiş bir numara",
        );
        let Some(server) = self.server()? else {
            check(
                taken.is_empty(),
                "there are clients without a server",
                "sunucu olmadığı hâlde istemciler var",
            );
            return Ok(());
        };
        check(
            taken.last().is_none_or(|host| *host <= server.subnet.usable()),
            "a client lies outside the subnet",
            "bir istemcinin adresi subnetin dışında",
        );
        Ok(())
    }
}
