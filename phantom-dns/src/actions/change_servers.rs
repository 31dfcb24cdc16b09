//! `change_dns_servers`: sets one or both DNS servers of all clients.

use std::net::IpAddr;

use phantom_engine::Origin;
use phantom_module::{Action, Call, Effect, Lang, ParamError, Text, TypedModule as _};
use phantom_store::DnsServers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collision::Place;
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
    /// Why clients may get no answer, a sentence each; only if there is a reason
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "İstemcilerin neden yanıt alamayabileceği, her biri bir cümle; yalnızca bir neden varsa"))]
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
    const ERRORS: &'static [&'static str] = &["VALIDATION_ERROR"];

    fn run(self, dns: &Dns, call: &Call) -> Result<ServersChanged, DnsError> {
        let given = [("primary", self.primary), ("secondary", self.secondary)];
        given.into_iter().try_for_each(|(parameter, address)| check(parameter, address))?;
        if self.primary.is_none() && self.secondary.is_none() {
            return Err(DnsError::NothingGiven);
        }
        let origin = Origin { module: Dns::NAME, action: Self::NAME };
        dns.engine().change(origin, call, |change| {
            let place = Place::now(dns.engine(), change)?;
            for (parameter, address) in given {
                if let Some(collision) = address.and_then(|address| place.refused(address)) {
                    return Err(DnsError::Collides { parameter, collision });
                }
            }
            let before = change.dns()?;
            let primary = self.primary.unwrap_or(before.primary);
            let secondary = self.secondary.unwrap_or(before.secondary);
            change.set_dns(&DnsServers { primary, secondary })?;
            let mut warnings = Vec::new();
            for address in [primary, secondary] {
                let warning = place.warning(change, address, call.lang)?;
                warnings.extend(warning.filter(|warning| !warnings.contains(warning)));
            }
            Ok(ServersChanged {
                success: true,
                dns_servers: ChangedServers {
                    primary,
                    secondary,
                    previous_primary: before.primary,
                    previous_secondary: before.secondary,
                },
                client_configs_updated: ConfigsUpdated { success: true, message: updated(call.lang) },
                warnings,
            })
        })
    }
}

/// That an address can be a server's: that of one host.
fn check(parameter: &str, address: Option<IpAddr>) -> Result<(), DnsError> {
    let nobody = |address: IpAddr| match address.to_canonical() {
        // "This network", and what is reserved with the broadcast address (RFC 1122, section 3.2.1.3; RFC 1112, section 4).
        IpAddr::V4(four) => four.octets()[0] == 0 || four.octets()[0] >= 240 || four.is_multicast(),
        IpAddr::V6(six) => six.is_unspecified() || six.is_multicast(),
    };
    if address.is_some_and(nobody) {
        return Err(ParamError::Type { parameter: parameter.to_owned(), expected: "ip" }.into());
    }
    Ok(())
}

fn updated(lang: Lang) -> &'static str {
    lang.pick("DNS configuration updated globally", "DNS yapılandırması tüm istemciler için güncellendi")
}
