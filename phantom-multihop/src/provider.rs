//! Whose exit it is: told by the name of its end point, else by a word in a comment of the file.

use phantom_types::conf::Comments;
use phantom_types::{Endpoint, HostName};

/// What an exit is called whose provider is not in the table.
pub(crate) const UNKNOWN: &str = "Unknown Provider";

/// A provider, the domains of its servers, and the words by which its files name it.
struct Provider {
    name: &'static str,
    domains: &'static [&'static str],
    words: &'static [&'static str],
}

const fn provider(
    name: &'static str,
    domains: &'static [&'static str],
    words: &'static [&'static str],
) -> Provider {
    Provider { name, domains, words }
}

/// The first match counts.
const PROVIDERS: [Provider; 13] = [
    provider("Mullvad", &["mullvad.net"], &["mullvad"]),
    provider("Proton VPN", &["protonvpn.net", "protonvpn.com"], &["protonvpn", "proton vpn"]),
    provider("NordVPN", &["nordvpn.com"], &["nordvpn"]),
    provider("Surfshark", &["surfshark.com"], &["surfshark"]),
    provider("IVPN", &["ivpn.net"], &["ivpn"]),
    provider("AirVPN", &["airvpn.org", "airdns.org"], &["airvpn"]),
    provider("Windscribe", &["windscribe.com", "whiskergalaxy.com"], &["windscribe"]),
    provider("AzireVPN", &["azirevpn.net", "azirevpn.com"], &["azirevpn"]),
    provider("OVPN", &["ovpn.com"], &["ovpn"]),
    provider(
        "Private Internet Access",
        &["privacy.network", "privateinternetaccess.com"],
        &["private internet access"],
    ),
    provider("TorGuard", &["torguard.com", "torguard.org"], &["torguard"]),
    provider("hide.me", &["hide.me", "hideservers.net"], &["hide.me"]),
    provider("Cloudflare WARP", &["cloudflareclient.com"], &["warp"]),
];

/// The provider of an exit; never translated.
pub(crate) fn detect(endpoint: &Endpoint, comments: &Comments) -> &'static str {
    let at_home = |provider: &&Provider| match &endpoint.host {
        HostName::Domain(host) => provider.domains.iter().any(|domain| host.is_within(domain)),
        HostName::Ip(_) => false,
    };
    let named = |provider: &&Provider| provider.words.iter().any(|word| comments.mention(word));
    let found = PROVIDERS.iter().find(at_home).or_else(|| PROVIDERS.iter().find(named));
    found.map_or(UNKNOWN, |provider| provider.name)
}

#[cfg(test)]
mod tests {
    use phantom_types::{PrivateKey, conf};

    use super::*;

    /// The provider of a file with this host and this comment.
    fn told(host: &str, comment: &str) -> &'static str {
        let key = PrivateKey::from_random([5; 32]);
        let (private, public) = (key.reveal(), key.public_key());
        let text = format!(
            "[Interface]\n# {comment}\nPrivateKey = {}\nAddress = 10.2.0.2/32\n[Peer]\nPublicKey = {public}\n\
             Endpoint = {host}:51820\nAllowedIPs = 0.0.0.0/0\n",
            private.as_str()
        );
        let parsed = conf::parse(&text).unwrap();
        detect(&parsed.endpoint, &parsed.comments)
    }

    #[test]
    fn provider_is_known_by_domain_and_words() {
        for provider in &PROVIDERS {
            for domain in provider.domains {
                assert_eq!(told(domain, ""), provider.name, "{domain}");
                assert_eq!(told(&format!("se-1.{domain}"), ""), provider.name, "below {domain}");
                assert_eq!(told(&format!("not{domain}"), ""), UNKNOWN, "not{domain}");
            }
            for word in provider.words {
                assert_eq!(told("192.0.2.1", &word.to_uppercase()), provider.name, "{word}");
                assert_eq!(told("192.0.2.1", &format!("x{word}y")), UNKNOWN, "x{word}y");
            }
        }
    }

    #[test]
    fn domain_precedes_word_and_first_wins() {
        assert_eq!(told("wg.ovpn.com", "made for mullvad"), "OVPN");
        assert_eq!(told("192.0.2.1", "ovpn, like Mullvad"), "Mullvad");
        assert_eq!(told("uk.gw.xeovo.com", "Xeovo"), UNKNOWN);
        assert_eq!(told("[2001:db8::1]", "Proton   VPN: CH#5"), "Proton VPN");
    }
}
