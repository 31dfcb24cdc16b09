//! Causes in the language of the call.
//!
//! An error of the host or of the store is English for logs (`Display`). What a person is told is made here, since neither
//! crate knows languages. Words of the kernel, of `SQLite` and of programs stay what they are.

use std::error::Error;

use phantom_host::reconcile::{ApplyError, StepKind};
use phantom_host::{HostError, ProbeError};
use phantom_module::{ErrorCode as _, Lang, chain, domain_error};
use phantom_store::{LockError, StoreError};
use phantom_types::conf::{ConfError, Fault, FileKind};
use phantom_types::{DomainError, EndpointError, HostNameError};

use crate::EngineError;
use crate::error::HostFailure;

/// An error with all its causes, each once, in this language.
pub fn explain(error: &(dyn Error + 'static), lang: Lang) -> String {
    match lang {
        Lang::En => chain(error),
        Lang::Tr => turkish(error),
    }
}

fn turkish(error: &(dyn Error + 'static)) -> String {
    // These stand for what they hold, and say nothing of their own. In an error that keeps one it is behind a pointer.
    let boxed = error.downcast_ref::<Box<HostFailure>>().map(|boxed| &**boxed);
    match boxed.or_else(|| error.downcast_ref::<HostFailure>()) {
        Some(HostFailure::Request(error)) => return turkish(error),
        Some(HostFailure::Step(error)) => return turkish(error),
        Some(HostFailure::Unverified(left)) => return format!("değişiklikten sonra hâlâ eksik: {left}"),
        None => {}
    }
    if let Some(Fault::Endpoint(error)) = error.downcast_ref::<Fault>() {
        return turkish(error);
    }
    let own = one(error);
    match error.source() {
        Some(cause) => format!("{own}: {}", turkish(cause)),
        None => own,
    }
}

/// One error without its causes.
fn one(error: &(dyn Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<HostError>() {
        return host(error);
    }
    if let Some(error) = error.downcast_ref::<EngineError>() {
        return match error {
            EngineError::Store(_) => "kayıtlı durum kullanılamadı".to_owned(),
            EngineError::Lock(_) => "kilit kullanılamadı".to_owned(),
            EngineError::Host { operation, .. } => format!("'{operation}' işlemi sunucuda başarısız oldu"),
            EngineError::NotPrivileged | EngineError::NotInitialised | EngineError::Locked { .. } => {
                error.message(Lang::Tr)
            }
        };
    }
    if let Some(error) = error.downcast_ref::<ApplyError>() {
        return format!("{}. adım başarısız ({} {})", error.at + 1, object(error.kind), error.target);
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return store(error);
    }
    if let Some(error) = error.downcast_ref::<LockError>() {
        return match error {
            LockError::Io { file, .. } => format!("{} kilitlenemiyor", file.display()),
            _ => "durum başka bir değişiklik tarafından kilitli".to_owned(),
        };
    }
    if let Some(error) = error.downcast_ref::<ConfError>() {
        return match error {
            ConfError::Line { line, .. } => format!("satır {line}"),
            other => format!("{} eksik", other.key().unwrap_or_default()),
        };
    }
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return self::fault(fault);
    }
    if let Some(error) = error.downcast_ref::<EndpointError>() {
        return match error {
            EndpointError::Port => "uç nokta ':' ve 1 ile 65535 arasında bir portla biter".to_owned(),
            EndpointError::Brackets => {
                "uç noktada köşeli ayraç içinde yalnızca IPv6 adresi bulunur: [2001:db8::1]:51820".to_owned()
            }
            EndpointError::Host(_) => "uç noktanın sunucu adı kullanılamaz".to_owned(),
            other => other.to_string(),
        };
    }
    if let Some(error) = error.downcast_ref::<ProbeError>() {
        return match error {
            ProbeError::NoAddress { rcode, .. } => format!("yanıtta adres yok ({rcode})"),
            ProbeError::Timeout => "zamanında yanıt gelmedi".to_owned(),
            ProbeError::Unreachable => "sunucuya ulaşılamıyor".to_owned(),
            other => other.to_string(),
        };
    }
    if let Some(error) = error.downcast_ref::<DomainError>() {
        return domain_error(error, Lang::Tr);
    }
    if error.downcast_ref::<HostNameError>().is_some() {
        return "ne bir IP adresi ne de bir alan adı".to_owned();
    }
    phrase(&error.to_string())
}

fn host(error: &HostError) -> String {
    match error {
        HostError::Command { argv, status, stderr } => {
            let status = status
                .map_or_else(|| "bir sinyalle sonlandı".to_owned(), |code| format!("çıkış durumu {code}"));
            format!("{} başarısız oldu ({status}): {}", argv.join(" "), stderr.trim())
        }
        HostError::Timeout { argv, seconds } => {
            format!("{} {seconds} saniye içinde bitmedi", phrase(&argv.join(" ")))
        }
        HostError::Silent { object, limit } => {
            format!("{} {:.1} saniyedir yanıt vermiyor", phrase(object), limit.as_secs_f64())
        }
        HostError::Interrupted { argv } => {
            format!("{} yarıda bırakıldı: bu programın sonlanması istendi", argv.join(" "))
        }
        HostError::NotInstalled { program } => format!("{program} kurulu değil"),
        HostError::Foreign { object } => format!("{} var ve bu sisteme ait değil", phrase(object)),
        HostError::Absent { object } => format!("{} yok", phrase(object)),
        HostError::Unsupported { what } => format!("bu makine şunu yapamıyor: {}", phrase(what)),
        HostError::Kernel { what, .. } | HostError::Io { what, .. } | HostError::Unexpected { what } => {
            phrase(what)
        }
        other => other.to_string(),
    }
}

fn store(error: &StoreError) -> String {
    match error {
        StoreError::Unreadable { file, .. } => format!("{} okunamıyor", file.display()),
        StoreError::Newer { file, found, known } => {
            format!("{} şema sürümü {found}; bu program en çok {known} sürümünü tanıyor", file.display())
        }
        StoreError::Write { file, .. } => format!("{} yazılamıyor", file.display()),
        StoreError::Busy { file, .. } => {
            format!("{} başka bir program tarafından kilitli tutuluyor", file.display())
        }
        StoreError::NotInitialised { .. } => "sistem hiç kurulmamış".to_owned(),
        StoreError::ForeignLock { file, lock } => {
            format!("{} kilidi başka bir kuruluma ait: {}", lock.display(), file.display())
        }
        StoreError::Remap { .. } => "yeni adresler kayıtlı istemcilerle uyuşmuyor".to_owned(),
        other => other.to_string(),
    }
}

fn fault(fault: &Fault) -> String {
    match fault {
        Fault::Syntax => "ne bir bölüm ne de 'Anahtar = değer'".to_owned(),
        Fault::UnknownSection => "[Interface] ve [Peer] dışında bir bölüm".to_owned(),
        Fault::SectionTwice => "bölüm iki kez yazılmış".to_owned(),
        Fault::NoSection => "hiçbir bölüme ait olmayan bir anahtar".to_owned(),
        Fault::Twice => "anahtar iki kez yazılmış".to_owned(),
        Fault::NoValue => "değer yok".to_owned(),
        Fault::Key => "anahtar değil: 32 baytın base64 biçimi (44 karakter) beklenir".to_owned(),
        Fault::Address => "önek uzunluklu veya öneksiz IP adreslerinden oluşan bir liste değil".to_owned(),
        Fault::NoIpv4 => "IPv4 adresi yok".to_owned(),
        Fault::Number { maximum } => format!("en fazla {maximum} olan bir sayı değil"),
        Fault::AmneziaWg { key } => format!(
            "{key} için yazılan bu değer paketlerin kendisini değiştirir (AmneziaWG) ve düz WireGuard böyle bir sunucuya \
             ulaşamaz: düz WireGuard yapılandırması isteyin"
        ),
        Fault::OtherKind(kind) => {
            format!(
                "bu dosya {}: [Interface] ve [Peer] bölümlerini içeren bir metin dosyası gerekir",
                file_kind(*kind)
            )
        }
        other => phrase(&other.to_string()),
    }
}

/// What a file is that is no WireGuard configuration, as a noun.
pub fn file_kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::NetworkManager => "bir NetworkManager bağlantısı (.nmconnection)",
        FileKind::Networkd => "bir systemd-networkd dosyası (.netdev, .network)",
        FileKind::Uci => "bir OpenWrt yapılandırması (UCI)",
        FileKind::RouterOs => "bir RouterOS betiği",
        FileKind::WireGuardLink => "bir bağlantı adresi (wireguard://)",
        FileKind::AmneziaLink => "Amnezia istemcisinin bir anahtarı (vpn://)",
        FileKind::OtherLink => "başka bir protokolün bağlantı adresi",
        FileKind::OpenVpn => "bir OpenVPN yapılandırması (.ovpn)",
        FileKind::Json => "Xray, sing-box ve Amnezia'nın yazdığı türden bir JSON metni",
        FileKind::Yaml => "Clash'ın yazdığı türden bir YAML metni",
        FileKind::Html => "bir web sayfası, belki de oturum açma sayfası",
        FileKind::Picture => "bir resim, belki de bir QR kodu",
        FileKind::Archive => "sıkıştırılmış bir dosya (önce açılmalıdır)",
        FileKind::Pdf => "bir PDF belgesi",
        FileKind::Utf16 => "UTF-16 kodlamalı bir metin (UTF-8 olarak kaydedilmelidir)",
    }
}

fn object(kind: StepKind) -> &'static str {
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
    ("appending to {}", "{} sonuna eklenirken"),
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
    ("{} is not part of the wanted state", "{} istenen durumun parçası değil"),
    ("{} is no DNS name", "{} bir DNS adı değil"),
    ("systemctl does not show {}", "systemctl {} birimini göstermiyor"),
    (
        "the packet filter does not show the rules it was given a moment ago",
        "paket süzgeci az önce verilen kuralları göstermiyor",
    ),
    ("ufw did not take the rule {}", "ufw kuralı kabul etmedi: {}"),
    ("nft's listing was not understood: {}", "nft çıktısı anlaşılamadı: {}"),
    ("{} answered wrongly: {}", "{} yanlış yanıt verdi: {}"),
    ("{} answered nothing", "{} yanıt vermedi"),
    ("create WireGuard interfaces", "WireGuard arayüzü oluşturmak"),
    ("embedded WireGuard device {} (process {})", "gömülü WireGuard aygıtı {} (işlem {})"),
    ("embedded WireGuard device {}", "gömülü WireGuard aygıtı {}"),
    ("a running process of {}", "{} servisinin çalışan bir işlemi"),
    ("the database is damaged: {}", "veritabanı hasarlı: {}"),
    ("{} is not allowed here", "{} karakteri burada kullanılamaz"),
    ("the file has disappeared", "dosya ortadan kayboldu"),
    ("the file is empty", "dosya boş"),
    ("not a file", "bir dosya değil"),
    ("not a copy of a stored state", "kayıtlı durumun bir kopyası değil"),
    ("not a database of Phantom-WG", "Phantom-WG'ye ait bir veritabanı değil"),
    ("another database has taken its place", "yerine başka bir veritabanı konmuş"),
    (
        "it is a symbolic link in a directory that other users may write to",
        "başka kullanıcıların yazabildiği bir dizinde sembolik bağlantı",
    ),
    (
        "it has a second name, and is in a directory that other users may write to",
        "ikinci bir adı var ve başka kullanıcıların yazabildiği bir dizinde",
    ),
    ("the log could not be copied into the new database", "günlük yeni veritabanına kopyalanamadı"),
];

/// A phrase of ours in Turkish. What is none of ours stays as it is.
fn phrase(what: &str) -> String {
    // What was not understood is said behind what was asked.
    if let Some((asked, rest)) = what.split_once(": ")
        && let Some(shown) = REST.iter().find_map(|(en, tr)| fill(en, tr, rest))
    {
        return format!("{}: {shown}", phrase(asked));
    }
    translate(what, PHRASES)
}

/// A text in the Turkish of the first of these pairs whose English one fits it, with `{}` for what differs. One that none
/// fits stays as it is.
pub fn translate(text: &str, phrases: &[(&str, &str)]) -> String {
    phrases.iter().find_map(|(en, tr)| fill(en, tr, text)).unwrap_or_else(|| text.to_owned())
}

/// What stands behind a phrase and a colon.
const REST: &[(&str, &str)] = &[
    ("it kept changing while it was being read", "okunurken sürekli değişti"),
    ("the kernel answered something else", "çekirdek başka bir şey yanıtladı"),
    ("the kernel's answer was not understood: {}", "çekirdeğin yanıtı anlaşılamadı: {}"),
    ("the answer was not understood: {}", "yanıt anlaşılamadı: {}"),
];

/// The Turkish template with what is in the places of the English one; nothing where that does not fit.
fn fill(en: &str, tr: &str, text: &str) -> Option<String> {
    let mut parts = en.split("{}");
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut names = Vec::new();
    let parts: Vec<&str> = parts.collect();
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        let end = if last { rest.strip_suffix(part)?.len() } else { rest.find(part)? };
        let (name, behind) = rest.split_at(end);
        if name.is_empty() {
            return None;
        }
        names.push(name);
        rest = &behind[part.len()..];
    }
    if !rest.is_empty() {
        return None;
    }
    Some(names.iter().fold(tr.to_owned(), |text, name| text.replacen("{}", name, 1)))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use phantom_host::reconcile::StepAction;

    use super::*;

    #[test]
    fn causes_are_in_the_language_of_the_call() {
        let refused = || io::Error::from_raw_os_error(1);
        let step = ApplyError {
            at: 2,
            kind: StepKind::Link,
            action: StepAction::Create,
            target: "wg_main".to_owned(),
            source: HostError::Kernel { what: "creating interface wg_main".to_owned(), source: refused() },
        };
        let failure = HostFailure::Step(step);
        let (en, tr) = (explain(&failure, Lang::En), explain(&failure, Lang::Tr));
        assert_eq!(
            en,
            "step 3: Create Link wg_main failed: creating interface wg_main: Operation not permitted (os error 1)"
        );
        assert_eq!(
            tr,
            "3. adım başarısız (arayüz wg_main): wg_main arayüzü oluşturulurken: Operation not permitted (os error 1)"
        );

        let whole = EngineError::Host { operation: "setup", source: Box::new(failure), rolled_back: true };
        assert!(whole.detail(Lang::Tr).starts_with("3. adım başarısız"), "{}", whole.detail(Lang::Tr));

        let silent = HostError::Silent {
            object: "embedded WireGuard device wg_main (process 12)".to_owned(),
            limit: Duration::from_secs(4),
        };
        let tr = explain(&HostFailure::Request(silent), Lang::Tr);
        assert_eq!(tr, "gömülü WireGuard aygıtı wg_main (işlem 12) 4.0 saniyedir yanıt vermiyor");
        let file = PathBuf::from("/opt/x.db");
        let newer = StoreError::Newer { file, found: 9, known: 1 };
        assert_eq!(
            explain(&newer, Lang::Tr),
            "/opt/x.db şema sürümü 9; bu program en çok 1 sürümünü tanıyor"
        );
    }

    #[test]
    fn a_phrase_is_known_by_all_of_its_words() {
        for (en, tr) in [
            ("setting net.ipv4.ip_forward to 1", "net.ipv4.ip_forward ayarı 1 yapılırken"),
            ("removing 10.8.0.1/24 from wg_main", "10.8.0.1/24 silinirken (yeri: wg_main)"),
            ("removing /run/x", "/run/x silinirken"),
            (
                "reading the routes of table 100: it kept changing while it was being read",
                "100 tablosunun rotaları okunurken: okunurken sürekli değişti",
            ),
            ("no words of ours", "no words of ours"),
        ] {
            assert_eq!(phrase(en), tr);
        }
    }

    /// The texts in these sources that name what was being done when the host said no.
    fn requests(dir: &Path, found: &mut Vec<String>) {
        const DOING: [&str; 21] = [
            "reading",
            "replacing",
            "opening",
            "creating",
            "removing",
            "adding",
            "setting",
            "starting",
            "waiting",
            "binding",
            "connecting",
            "asking",
            "sending",
            "listing",
            "configuring",
            "guarding",
            "deleting",
            "changing",
            "making",
            "writing",
            "appending",
        ];
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                requests(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                let source = source.split("#[cfg(test)]").next().unwrap();
                let texts = source.split('"').skip(1).step_by(2);
                let ours = texts.filter(|text| {
                    text.split_once(' ').is_some_and(|(first, _)| DOING.contains(&first))
                        && !text.contains('\n')
                });
                found.extend(ours.map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_request_of_the_host_has_its_words() {
        let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src/linux");
        let mut found = Vec::new();
        requests(&host, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for text in found {
            // Some name their object elsewhere.
            let known = [text.clone(), format!("{text} x")].into_iter().any(|text| phrase(&text) != text);
            assert!(known, "this has no Turkish: {text}");
        }
    }
}
