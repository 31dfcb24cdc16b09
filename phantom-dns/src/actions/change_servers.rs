//! `change_dns_servers`: sets one or both DNS servers of all clients (API 6.1).

use std::net::IpAddr;

use phantom_engine::Origin;
use phantom_module::{Action, Call, Effect, Lang, ParamError, Text, TypedModule as _};
use phantom_store::DnsServers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Dns, DnsError};

/// Sets one or both DNS servers of all clients. Configurations that are exported from now on name them.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeServers {
    /// Primary DNS server
    #[serde(default)]
    #[schemars(extend("x-tr" = "Birincil DNS sunucusu"))]
    pub primary: Option<IpAddr>,
    /// Secondary DNS server
    #[serde(default)]
    #[schemars(extend("x-tr" = "İkincil DNS sunucusu"))]
    pub secondary: Option<IpAddr>,
}

/// The servers were changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServersChanged {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub success: bool,
    /// The servers now and before
    #[schemars(extend("x-tr" = "Şimdiki ve önceki sunucular"))]
    pub dns_servers: ChangedServers,
    /// What follows for the clients
    #[schemars(extend("x-tr" = "İstemciler için sonucu"))]
    pub client_configs_updated: ConfigsUpdated,
    /// Only when a server is IPv6
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "Yalnızca bir sunucu IPv6 ise"))]
    pub warnings: Vec<String>,
}

/// The servers now and before.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangedServers {
    /// First server
    #[schemars(extend("x-tr" = "Birincil sunucu"))]
    pub primary: IpAddr,
    /// Second server
    #[schemars(extend("x-tr" = "İkincil sunucu"))]
    pub secondary: IpAddr,
    /// First server before
    #[schemars(extend("x-tr" = "Önceki birincil sunucu"))]
    pub previous_primary: IpAddr,
    /// Second server before
    #[schemars(extend("x-tr" = "Önceki ikincil sunucu"))]
    pub previous_secondary: IpAddr,
}

/// What follows for the clients.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConfigsUpdated {
    /// Always true: configurations are made at export
    #[schemars(extend("x-tr" = "Her zaman true: yapılandırmalar dışa aktarılırken üretilir"))]
    pub success: bool,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
}

impl Action for ChangeServers {
    type Module = Dns;
    type Output = ServersChanged;
    type Error = DnsError;
    const NAME: &'static str = "change_dns_servers";
    const SUMMARY: Text = Text { en: "Change DNS servers", tr: "DNS sunucularını değiştir" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "primary=1.1.1.1 secondary=1.0.0.1";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, dns: &Dns, call: &Call) -> Result<ServersChanged, DnsError> {
        check("primary", self.primary)?;
        check("secondary", self.secondary)?;
        if self.primary.is_none() && self.secondary.is_none() {
            return Err(DnsError::NothingGiven);
        }
        let origin = Origin { module: Dns::NAME, action: Self::NAME };
        dns.engine().change(origin, call, |change| {
            let before = change.dns()?;
            let primary = self.primary.unwrap_or(before.primary);
            let secondary = self.secondary.unwrap_or(before.secondary);
            change.set_dns(&DnsServers { primary, secondary })?;
            let six = [primary, secondary].into_iter().filter(IpAddr::is_ipv6);
            Ok(ServersChanged {
                success: true,
                dns_servers: ChangedServers {
                    primary,
                    secondary,
                    previous_primary: before.primary,
                    previous_secondary: before.secondary,
                },
                client_configs_updated: ConfigsUpdated { success: true, message: updated(call.lang) },
                warnings: six.map(|ip| warning(ip, call.lang)).collect(),
            })
        })
    }
}

/// That an address can be a server's.
fn check(parameter: &str, address: Option<IpAddr>) -> Result<(), DnsError> {
    if address.is_some_and(|address| address.is_unspecified() || address.is_multicast()) {
        return Err(ParamError::Type { parameter: parameter.to_owned(), expected: "ip" }.into());
    }
    Ok(())
}

fn updated(lang: Lang) -> &'static str {
    lang.pick("DNS configuration updated globally", "DNS yapılandırması tüm istemciler için güncellendi")
}

fn warning(ip: IpAddr, lang: Lang) -> String {
    match lang {
        Lang::En => format!("{ip} is IPv6: clients reach it outside the tunnel or not at all"),
        Lang::Tr => format!("{ip} bir IPv6 adresi: istemciler ona tünel dışından ulaşır veya hiç ulaşamaz"),
    }
}
