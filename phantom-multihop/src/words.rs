//! Sentences that more than one place says.

use phantom_module::Lang;
use phantom_types::conf::IgnoredKind;

use crate::import::KEEPALIVE;
use crate::model::Exit;

/// What was made of the MTU and of the keepalive of the imported file.
pub(crate) fn optimizations(exit: &Exit, lang: Lang) -> Vec<String> {
    vec![mtu(exit, lang), keepalive(exit, lang)]
}

fn mtu(exit: &Exit, lang: Lang) -> String {
    let mtu = exit.mtu;
    match lang {
        _ if exit.file_mtu != Some(mtu) => {
            lang.pick("MTU optimized for multihop", "MTU multihop için optimize edildi").to_owned()
        }
        Lang::En => format!("MTU {mtu} kept"),
        Lang::Tr => format!("MTU {mtu} korundu"),
    }
}

fn keepalive(exit: &Exit, lang: Lang) -> String {
    let en = lang == Lang::En;
    match exit.file_keepalive {
        None => lang.pick("PersistentKeepalive enabled", "PersistentKeepalive etkinleştirildi").to_owned(),
        Some(kept) if kept == exit.keepalive && en => format!("PersistentKeepalive {kept} kept"),
        Some(kept) if kept == exit.keepalive => format!("PersistentKeepalive {kept} korundu"),
        Some(old) if en => format!("PersistentKeepalive lowered from {old} to {KEEPALIVE} seconds"),
        Some(old) => format!("PersistentKeepalive {old} saniyeden {KEEPALIVE} saniyeye düşürüldü"),
    }
}

/// Why a line of an imported file is not used.
pub(crate) fn ignored(kind: IgnoredKind, lang: Lang) -> &'static str {
    match kind {
        IgnoredKind::Hook => lang.pick("Hooks are never executed", "Kancalar asla çalıştırılmaz"),
        IgnoredKind::Dns => lang.pick("DNS of an exit is not used", "Çıkışın DNS ayarı kullanılmaz"),
        IgnoredKind::Ipv6Address => lang.pick("IPv6 address is not used", "IPv6 adresi kullanılmaz"),
        IgnoredKind::Other => lang.pick("Key is not used", "Anahtar kullanılmaz"),
    }
}

/// That an exit does not carry everything.
pub(crate) fn carries_less(lang: Lang) -> &'static str {
    lang.pick("AllowedIPs does not cover all IPv4 addresses", "AllowedIPs tüm IPv4 adreslerini kapsamıyor")
}
