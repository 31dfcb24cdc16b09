//! What `nft -j list ruleset` prints (`libnftables-json(5)`), with the rules' texts from `nft -a -t list ruleset`.

mod element;
mod expression;
mod statement;
mod text;

use phantom_types::Spoken;
use serde_json::{Map, Value};
use text::Texts;

use super::tree::{Base, Rule, Table};
use super::{BaseChain, FilterFamily, FilterHook, FilterProgram, Filters, TableId};

/// A listing that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the listing of the packet filter is not understood")]
pub struct FilterListingError {
    #[source]
    cause: serde_json::Error,
}

impl Spoken for FilterListingError {
    fn turkish(&self) -> String {
        let (line, column) = (self.cause.line(), self.cause.column());
        format!("paket filtresinin listesi anlaşılamadı ({line}. satır, {column}. sütun)")
    }
}

#[derive(serde::Deserialize)]
struct Document {
    nftables: Vec<Map<String, Value>>,
}

impl Filters {
    /// Reads the tables of nftables: what `nft -j list ruleset` prints, and for the texts of rules what
    /// `nft -a -t list ruleset` prints. A rule that the second does not have is named by its handle.
    ///
    /// # Errors
    ///
    /// The first is not the JSON of nftables. Single statements and expressions that are not understood are no error:
    /// what depends on them is not known.
    pub fn read_nft(json: &[u8], rules: &str) -> Result<Self, FilterListingError> {
        let document: Document =
            serde_json::from_slice(json).map_err(|cause| FilterListingError { cause })?;
        let texts = Texts::read(rules);
        let mut reader = Reader { filters: Self::new(), texts };
        for (kind, object) in document.nftables.iter().flatten() {
            reader.add(kind, object);
        }
        Ok(reader.filters)
    }
}

struct Reader<'a> {
    filters: Filters,
    texts: Texts<'a>,
}

impl Reader<'_> {
    fn add(&mut self, kind: &str, object: &Value) {
        let Some(family) = object["family"].as_str().and_then(FilterFamily::of_name) else { return };
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let name = if kind == "table" { text("name") } else { text("table") };
        let id = TableId { program: FilterProgram::Nftables, family, name };
        let place = format!("{} {}", family.name(), id.name);
        // A table's objects follow it, so that it is nearly always the last one.
        let tables = &mut self.filters.tables;
        let at = tables.iter().rposition(|table| table.id == id).unwrap_or_else(|| {
            tables.push(Table::new(id));
            tables.len() - 1
        });
        let table = &mut tables[at];
        match kind {
            "table" => table.dormant = dormant(&object["flags"]) || self.texts.dormant(&place),
            "chain" => {
                let name = text("name");
                let devices = self.texts.devices(&place, &name);
                let base = base(&table.id, &name, object, devices);
                table.chain(&name).base = base;
            }
            "rule" => {
                let chain = text("chain");
                let handle = object["handle"].as_u64();
                let steps = statement::steps(&object["expr"]);
                let text = handle.and_then(|handle| self.texts.rule(&place, &chain, handle));
                let text = text.map_or_else(|| unnamed(object), str::to_owned);
                table.chain(&chain).rules.push(Rule { handle, text, steps });
            }
            "set" | "map" => {
                let set = element::set(object);
                table.sets.insert(text("name"), set);
            }
            _ => {}
        }
    }
}

/// What is said of a rule whose text is not at hand.
fn unnamed(object: &Value) -> String {
    match object["comment"].as_str() {
        Some(comment) => format!("comment \"{comment}\""),
        None => format!("handle {}", object["handle"].as_u64().unwrap_or_default()),
    }
}

/// Some versions cut the word.
fn dormant(flags: &Value) -> bool {
    let is = |flag: &Value| flag.as_str().is_some_and(|flag| flag.starts_with("dorm"));
    is(flags) || flags.as_array().is_some_and(|flags| flags.iter().any(is))
}

fn base(table: &TableId, name: &str, object: &Value, listed: Option<Vec<String>>) -> Option<Base> {
    let hook = FilterHook::of_name(object["hook"].as_str()?)?;
    let named = match &object["dev"] {
        Value::String(device) => Some(vec![device.clone()]),
        Value::Array(all) => all.iter().map(|device| device.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    Some(Base {
        chain: BaseChain {
            table: table.clone(),
            name: name.to_owned(),
            hook,
            priority: object["prio"].as_i64().unwrap_or_default(),
            policy_drop: object["policy"] == "drop",
        },
        nat: object["type"] == "nat",
        devices: named.or(listed),
    })
}
