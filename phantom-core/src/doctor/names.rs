//! Checks of names: the host's own resolvers, and the servers that clients are given.

use std::time::Duration;

use phantom_host::Probe;
use phantom_types::Domain;

use super::{Case, Finding};

/// A name that every resolver knows, the one that `dns test_dns_servers` asks for.
const NAME: &str = "google.com";
/// How long a server has to answer.
const LIMIT: Duration = Duration::from_secs(3);

pub(super) fn resolver(case: &Case<'_>) -> Finding {
    match case.engine.host().resolver.lookup(&name(), LIMIT) {
        Err(error) => case.silent(&error),
        Ok(Ok(_)) => case.ok("The host's resolvers answer", "Sunucunun DNS çözümleyicileri yanıt veriyor"),
        Ok(Err(error)) => {
            let found = case.warning(
                format!("The host's resolvers do not answer ({error}): certificates and exits with a name need them"),
                format!("Sunucunun DNS çözümleyicileri yanıt vermiyor ({error}): sertifikalar ve adı olan çıkışlar onlara gerek duyar"),
            );
            found.hint(case.pick("Look at /etc/resolv.conf", "/etc/resolv.conf dosyasına bakın"))
        }
    }
}

pub(super) fn dns_servers(case: &Case<'_>) -> Finding {
    let Some(stored) = case.stored() else {
        return case.ok("No DNS servers are stored yet", "Henüz kayıtlı DNS sunucusu yok");
    };
    let servers = [stored.dns.primary, stored.dns.secondary];
    let probes = servers.map(|server| Probe { server, domain: name() });
    let answers = match case.engine.host().resolver.probe(&probes, LIMIT) {
        Ok(answers) => answers,
        Err(error) => return case.silent(&error),
    };
    let dumb = servers.iter().zip(&answers).filter(|(_, answer)| answer.is_err());
    let dumb: Vec<String> = dumb.map(|(server, _)| server.to_string()).collect();
    let list = dumb.join(", ");
    let hint = || {
        case.pick(
            "Give clients others: phantom-api dns change_dns_servers primary=<address> secondary=<address>",
            "İstemcilere başkalarını verin: phantom-api dns change_dns_servers primary=<adres> secondary=<adres>",
        )
    };
    match dumb.len() {
        0 => case
            .ok("Both DNS servers of the clients answer", "İstemcilerin iki DNS sunucusu da yanıt veriyor"),
        1 => case
            .warning(
                format!("A DNS server of the clients does not answer: {list}"),
                format!("İstemcilerin bir DNS sunucusu yanıt vermiyor: {list}"),
            )
            .hint(hint()),
        _ => case
            .problem(
                format!("No DNS server of the clients answers: {list}"),
                format!("İstemcilerin hiçbir DNS sunucusu yanıt vermiyor: {list}"),
            )
            .hint(hint()),
    }
}

fn name() -> Domain {
    NAME.parse().expect("it follows the rules of domains")
}
