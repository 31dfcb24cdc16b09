//! What the errors of the host say in Turkish.
//!
//! An error names what was asked in a phrase; [`PHRASES`] has all of them in both languages, and a test holds the sources
//! against it.

use phantom_types::{Spoken, quoted, translate};

use crate::error::HostError;
use crate::reconcile::StepKind;

/// What was asked of the host, as its errors name it, and the same in Turkish. `{}` stands for names; the first line that fits
/// counts, so that a longer one comes before a shorter one.
const PHRASES: &[(&str, &str)] = &[
    ("reading the addresses", "adresler okunurken"),
    ("reading the interfaces", "arayüzler okunurken"),
    ("reading the policy rules", "yönlendirme kuralları okunurken"),
    ("reading the routes of table {}", "{} tablosunun rotaları okunurken"),
    ("reading the guard of {}", "{} arayüzünün koruması okunurken"),
    ("reading interface number {}", "{} numaralı arayüz okunurken"),
    ("reading interface {}", "{} arayüzü okunurken"),
    ("reading a device's reply", "aygıtın yanıtı okunurken"),
    ("reading a WireGuard dump", "WireGuard dökümü okunurken"),
    ("reading {}", "{} okunurken"),
    ("looking at {}", "{} denetlenirken"),
    ("opening the TUN device {}", "{} TUN aygıtı açılırken"),
    ("opening {}", "{} açılırken"),
    ("writing {}", "{} yazılırken"),
    ("appending to {}", "{} dosyasının sonuna eklenirken"),
    ("setting the mode of {}", "{} izinleri ayarlanırken"),
    ("setting {} to {}", "{} ayarı {} yapılırken"),
    ("making {}", "{} oluşturulurken"),
    ("removing {} from {}", "{} silinirken (yeri: {})"),
    ("removing {}", "{} silinirken"),
    ("deleting interface {}", "{} arayüzü silinirken"),
    ("creating the WireGuard interface {}", "{} WireGuard arayüzü oluşturulurken"),
    ("creating interface {}", "{} arayüzü oluşturulurken"),
    ("changing interface {}", "{} arayüzü değiştirilirken"),
    ("changing {}", "{} değiştirilirken"),
    ("configuring {}", "{} yapılandırılırken"),
    ("guarding {}", "{} korunurken"),
    ("adding the rule {}", "{} kuralı eklenirken"),
    ("adding the route to {} in table {}, metric {}", "{} rotası (tablo {}, metrik {}) eklenirken"),
    ("replacing the route to {} in table {}, metric {}", "{} rotası (tablo {}, metrik {}) değiştirilirken"),
    ("replacing {}", "{} değiştirilirken"),
    ("removing the route to {} in table {}, metric {}", "{} rotası (tablo {}, metrik {}) silinirken"),
    ("adding {} to {}", "{} eklenirken (yeri: {})"),
    ("adding {}", "{} eklenirken"),
    ("starting to ask DNS servers", "DNS sunucularına soru gönderimi başlatılırken"),
    ("starting {}: {}", "{} başlatılırken: «{}»"),
    ("starting {}", "{} başlatılırken"),
    ("waiting for {}", "{} beklenirken"),
    ("sending {} to process {}", "{} sinyali {} numaralı işleme gönderilirken"),
    ("binding {}", "{} bağlanırken"),
    ("connecting to {}", "{} ile bağlantı kurulurken"),
    ("asking for the way to the Internet", "İnternet'e giden yol sorulurken"),
    (
        "asking for the way of packets from {} to {}",
        "{} adresinden {} adresine giden paketlerin yolu sorulurken",
    ),
    ("asking for the route to {}", "{} rotası sorulurken"),
    ("asking for the generation of nftables", "nftables sürüm sayacı sorulurken"),
    ("asking the kernel's clock", "çekirdeğin saati sorulurken"),
    ("asking by {}", "{} üzerinden sorulurken"),
    ("asking {}", "{} sunucusuna sorulurken"),
    ("listing the nftables tables", "nftables tabloları listelenirken"),
    ("listing the nftables chains", "nftables zincirleri listelenirken"),
    ("listing the generic netlink families", "generic netlink aileleri listelenirken"),
    ("listing {}", "{} listelenirken"),
    ("{} is not as it was written", "{} yazıldığı gibi değil"),
    ("{} is not as the host was told", "{} istendiği gibi değil"),
    ("{} does not show the alias that it was given", "{} kendisine verilen takma adı göstermiyor"),
    ("'{}' is not the name of a service", "'{}' bir servis adı değil"),
    ("{} is not part of the desired state", "{} istenen durumun parçası değil"),
    ("{} is no DNS name", "{} bir DNS adı değil"),
    ("systemctl does not show {}", "systemctl {} birimini göstermiyor"),
    (
        "the packet filter does not show the rules it was given a moment ago",
        "paket filtresi az önce verilen kuralları göstermiyor",
    ),
    ("ufw did not take the rule {}", "ufw kuralı kabul etmedi: «{}»"),
    ("nft's listing was not understood: {}", "nft çıktısı anlaşılamadı: «{}»"),
    ("create WireGuard interfaces", "WireGuard arayüzü oluşturmak"),
    ("embedded WireGuard device {} (process {})", "gömülü WireGuard aygıtı {} (işlem {})"),
    ("embedded WireGuard device {}", "gömülü WireGuard aygıtı {}"),
    ("a running process of {}", "{} servisinin çalışan bir işlemi"),
    ("'{}' is not the dotted name of a kernel setting", "'{}' bir çekirdek ayarının noktalı adı değil"),
    ("{} is not the absolute path of a file", "{} bir dosyanın mutlak yolu değil"),
    ("{} is there after its removal", "{} silindikten sonra hâlâ duruyor"),
    (
        "{} cannot be removed: the kernel would remove another one in its place",
        "{} kaldırılamıyor: çekirdek onun yerine başka birini kaldırırdı",
    ),
    (
        "conntrack -D: connections go faster than they can be deleted",
        "conntrack -D: bağlantılar silinebileceklerinden daha hızlı sona eriyor",
    ),
    ("interface {}", "{} arayüzü"),
    ("WireGuard device {}", "{} WireGuard aygıtı"),
    ("kernel setting {}", "{} çekirdek ayarı"),
    ("address {} of {}", "{} adresi (arayüz {})"),
    ("the address {} on {}", "{} adresi (arayüz {})"),
    ("the address that is asked from", "sorunun gönderileceği adres"),
    ("the route to {} in table {}, metric {}", "{} rotası (tablo {}, metrik {})"),
    ("the {} rule {} (from {} to {} {})", "{} kuralı {} (kaynak {}, hedef {}, {})"),
    (
        "filter packets: install the package nftables (or iptables, on a kernel without nf_tables)",
        "paketleri süzmek; nftables paketini kurun (çekirdekte nf_tables yoksa iptables paketini)",
    ),
    (
        "forget tracked connections: install the package conntrack",
        "izlenen bağlantıları unutmak; conntrack paketini kurun",
    ),
    (
        "guard a link: the kernel has not both sch_ingress and cls_bpf",
        "bir arayüzü korumak; çekirdekte sch_ingress ve cls_bpf birlikte yok",
    ),
    ("guard a link with so many addresses", "bu kadar çok adresi olan bir arayüzü korumak"),
    ("have {}: IPv6 has no metric 0", "{} kullanmak; IPv6'da 0 metriği yoktur"),
    ("start {} by a file", "{} servisini bir dosyayla başlatmak"),
    (
        "ask twice for {} in one rule with iptables (nftables can)",
        "iptables ile bir kuralda {} seçeneğini iki kez sormak (nftables bunu yapabilir)",
    ),
    ("ask for connections from any address", "her adresten gelen bağlantıları sormak"),
    ("ask for {} at {}", "{} koşulunu {} noktasında sormak"),
    ("do {} at {}", "{} işlemini {} noktasında yapmak"),
    ("filter by the interface name '{}'", "'{}' arayüz adına göre süzmek"),
];

/// A phrase of ours in Turkish. A name or a path stays as it is.
pub(crate) fn phrase(what: &str) -> String {
    // What was not understood is said behind what was asked.
    if let Some((asked, rest)) = what.split_once(": ")
        && let Some(shown) = translate(rest, REST)
    {
        return format!("{}: {shown}", phrase(asked));
    }
    translate(what, PHRASES).unwrap_or_else(|| what.to_owned())
}

/// What stands behind a phrase and a colon.
const REST: &[(&str, &str)] = &[
    ("it kept changing while it was being read", "okunurken sürekli değişti"),
    ("the kernel answered something else", "çekirdek başka bir şey yanıtladı"),
    ("the kernel's answer was not understood: {}", "çekirdeğin yanıtı anlaşılamadı: «{}»"),
    ("the answer was not understood: {}", "yanıt anlaşılamadı: «{}»"),
];

/// What a step is about, at the beginning of a sentence in small letters.
pub(crate) const fn object(kind: StepKind) -> &'static str {
    match kind {
        StepKind::File => "dosya",
        StepKind::Link => "arayüz",
        StepKind::Address => "adres",
        StepKind::Peer => "eş",
        StepKind::Route => "rota",
        StepKind::Rule => "yönlendirme kuralı",
        StepKind::Firewall => "güvenlik duvarı",
        StepKind::Sysctl => "çekirdek ayarı",
        StepKind::Service => "servis",
    }
}

impl Spoken for HostError {
    fn turkish(&self) -> String {
        match self {
            Self::Command { argv, status, stderr } => {
                let status = status.map_or_else(
                    || "bir sinyalle sonlandı".to_owned(),
                    |code| format!("çıkış durumu {code}"),
                );
                format!("{} başarısız oldu ({status}): {}", argv.join(" "), quoted(&stderr.trim()))
            }
            Self::Timeout { argv, seconds } => {
                format!("{} {seconds} saniye içinde bitmedi", phrase(&argv.join(" ")))
            }
            Self::Silent { object, limit } => {
                format!("{} {:.1} saniyedir yanıt vermiyor", phrase(object), limit.as_secs_f64())
            }
            Self::Interrupted { argv } => {
                format!("{} yarıda bırakıldı: bu programın sonlanması istendi", argv.join(" "))
            }
            Self::NotInstalled { program } => format!("{program} kurulu değil"),
            Self::Foreign { object } => format!("{} var ve bu sisteme ait değil", phrase(object)),
            Self::Absent { object } => format!("{} yok", phrase(object)),
            Self::Unsupported { what } => format!("bu makine şunu yapamıyor: {}", phrase(what)),
            Self::Kernel { what, .. } | Self::Io { what, .. } | Self::Unexpected { what } => phrase(what),
            Self::Told(said) => said.tr.clone(),
        }
    }

    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Kernel { source, .. } | Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
