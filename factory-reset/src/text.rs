//! The texts of the run, in English and Turkish.

use std::path::Path;

use phantom_host::StuckRules;
use phantom_store::Language;
use phantom_types::explain;

use crate::{ResetError, Stage};

/// The texts of a language.
pub(crate) struct Texts {
    pub explanation: &'static str,
    pub prompt: &'static str,
    pub removal: &'static str,
    pub removal_prompt: &'static str,
    pub needs_yes: &'static str,
    pub cancelled: &'static str,
    pub completed: &'static str,
    pub interrupted: &'static str,
    /// What the command follows behind.
    pub removal_interrupted: &'static str,
    pub not_set_up: &'static str,
    pub removed: &'static str,
    pub restored: &'static str,
    pub error: &'static str,
    pub root: &'static str,
    pub signals: &'static str,
    pub usage: &'static str,
    pub help: &'static str,
}

const ENGLISH: Texts = Texts {
    explanation: "This removes all clients, keys, exits and logs of Phantom-WG for good. No backup is made.",
    prompt: "Type RESET to continue:",
    removal: "This takes the server off this host: every client is disconnected at once. What is stored stays, and phantom-api core \
              reconcile brings the server back.",
    removal_prompt: "Type UNINSTALL to continue:",
    needs_yes: "--uninstall asks on a terminal, and there is none: give --yes",
    cancelled: "Cancelled, nothing was changed.",
    completed: "Factory reset completed. SSH access is unchanged.",
    interrupted: "Factory reset interrupted; run it again to finish.",
    removal_interrupted: "Removal interrupted; to finish it, run again:",
    not_set_up: "The system is not set up. Run: phantom-api core setup",
    removed: "removed",
    restored: "restored",
    error: "Error",
    root: "Root privileges are required",
    signals: "a signal will end it in the middle",
    usage: "Usage: factory-reset [--uninstall] [--yes] [--root DIR] [--lang en|tr]",
    help: "Removes all clients, keys, exits and logs, and starts the server again with new keys. SSH, and whatever\n\
           does not carry the marks of Phantom-WG, stays as it is.\n\n\
           \x20 --yes           does not ask\n\
           \x20 --lang en|tr    language of the text\n\
           \x20 --root DIR      the install directory (default /opt/phantom-wg)\n\
           \x20 --uninstall     takes the server off the host and leaves what is stored; without a terminal it needs --yes\n\
           \x20 --help, -h      this text\n\
           \x20 --version       the version\n\n\
           PHANTOM_LANG chooses the language, PHANTOM_ROOT the install directory.",
};

const TURKISH: Texts = Texts {
    explanation: "Bu işlem Phantom-WG'nin tüm istemcilerini, anahtarlarını, çıkışlarını ve günlüklerini kalıcı olarak \
                  siler. Yedekleme yapılmaz.",
    prompt: "Devam etmek için RESET yazın:",
    removal: "Bu işlem sunucuyu bu makineden kaldırır: tüm istemcilerin bağlantısı hemen kesilir. Kayıtlı durum kalır ve sunucuyu \
              phantom-api core reconcile geri getirir.",
    removal_prompt: "Devam etmek için UNINSTALL yazın:",
    needs_yes: "--uninstall terminalde onay ister ama burada terminal yok: --yes verin",
    cancelled: "İptal edildi, hiçbir şey değiştirilmedi.",
    completed: "Factory reset tamamlandı. SSH erişimi değişmedi.",
    interrupted: "Factory reset yarıda kaldı; tamamlamak için yeniden çalıştırın.",
    removal_interrupted: "Kaldırma işlemi yarıda kaldı; tamamlamak için yeniden çalıştırın:",
    not_set_up: "Sistem kurulmamış. Çalıştırın: phantom-api core setup",
    removed: "kaldırıldı",
    restored: "eski haline getirildi",
    error: "Hata",
    root: "Root yetkisi gerekir",
    signals: "bir sinyal işlemi yarıda kesecek",
    usage: "Kullanım: factory-reset [--uninstall] [--yes] [--root DİZİN] [--lang en|tr]",
    help: "Tüm istemcileri, anahtarları, çıkışları ve günlükleri kaldırır, sunucuyu yeni anahtarlarla yeniden\n\
           başlatır. SSH ve Phantom-WG'nin işaretini taşımayan her şey olduğu gibi kalır.\n\n\
           \x20 --yes           soru sormaz\n\
           \x20 --lang en|tr    metnin dili\n\
           \x20 --root DİZİN    kurulum dizini (varsayılan /opt/phantom-wg)\n\
           \x20 --uninstall     sunucuyu bu makineden kaldırır, kayıtlı durumu bırakır; terminal yoksa --yes gerekir\n\
           \x20 --help, -h      bu metin\n\
           \x20 --version       sürüm\n\n\
           PHANTOM_LANG dili, PHANTOM_ROOT kurulum dizinini belirler.",
};

pub(crate) fn texts(language: Language) -> &'static Texts {
    match language {
        Language::En => &ENGLISH,
        Language::Tr => &TURKISH,
    }
}

pub(crate) fn stage(stage: Stage, language: Language) -> &'static str {
    match (stage, language) {
        (Stage::Stopping, Language::En) => "Stopping services",
        (Stage::Stopping, Language::Tr) => "Servisler durduruluyor",
        (Stage::Objects, Language::En) => "Removing system objects",
        (Stage::Objects, Language::Tr) => "Sistem nesneleri kaldırılıyor",
        (Stage::Data, Language::En) => "Removing data",
        (Stage::Data, Language::Tr) => "Veriler siliniyor",
        (Stage::Keys, Language::En) => "Creating new server keys",
        (Stage::Keys, Language::Tr) => "Yeni sunucu anahtarları üretiliyor",
        (Stage::Starting, Language::En) => "Starting WireGuard",
        (Stage::Starting, Language::Tr) => "WireGuard başlatılıyor",
    }
}

/// That a removal is unfinished, and the command that finishes it: the one that was given, which nobody has to be asked for again.
pub(crate) fn removal_interrupted(root: Option<&Path>, yes: bool, language: Language) -> String {
    let mut command = "factory-reset --uninstall".to_owned();
    if yes {
        command.push_str(" --yes");
    }
    if let Some(root) = root {
        command.push_str(" --root ");
        command.push_str(&quoted(&root.display().to_string()));
    }
    format!("{} {command}", texts(language).removal_interrupted)
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+:@%,=".contains(letter);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// That rules were taken out of tables of others, copies of which may still hold them; nothing where there were none.
pub(crate) fn saved_copies(tables: &[String], mark: &str, language: Language) -> String {
    if tables.is_empty() {
        return String::new();
    }
    let tables = tables.join(", ");
    let text = match language {
        Language::En => format!(
            "Rules of Phantom-WG were taken out of {tables}. A copy of these tables that was saved meanwhile (as in \
             /etc/iptables/rules.v4 or /etc/nftables.conf) may still hold them: look for {mark} in it."
        ),
        Language::Tr => format!(
            "Phantom-WG kuralları şu tablolardan kaldırıldı: {tables}. Bu tabloların bu arada kaydedilmiş bir kopyası \
             (örneğin /etc/iptables/rules.v4 veya /etc/nftables.conf) kuralları hâlâ içerebilir: kopyada {mark} metnini arayın."
        ),
    };
    text + "\n"
}

/// What stays of the packet filter's rules because nobody can take it out, with the command that does; nothing where nothing stays.
pub(crate) fn stuck(rules: &[StuckRules], language: Language) -> String {
    let line = |StuckRules { place, command }: &StuckRules| match language {
        Language::En => format!(
            "Rules of Phantom-WG stay in {place}: the program that takes them out is missing or cannot read that table. Run: {command}\n"
        ),
        Language::Tr => format!(
            "Phantom-WG kuralları {place} içinde kalıyor: onları kaldıracak program kurulu değil veya bu tabloyu okuyamıyor. Çalıştırın: {command}\n"
        ),
    };
    rules.iter().map(line).collect()
}

/// What went wrong, on one line, and what to do where that is known.
pub(crate) fn error(error: &ResetError, language: Language) -> String {
    // One line, whatever others have said.
    let chain = explain(error, language.into()).replace('\n', "; ");
    match (error, language) {
        (ResetError::Ssh { port }, Language::En) => {
            format!(
                "A ufw rule of Phantom-WG concerns the SSH port {port}/tcp: give SSH a rule of its own or another port first"
            )
        }
        (ResetError::Ssh { port }, Language::Tr) => {
            format!(
                "Phantom-WG'ye ait bir ufw kuralı {port}/tcp SSH portuyla ilgili: önce SSH için ayrı bir kural ekleyin veya portunu değiştirin"
            )
        }
        (ResetError::Lock(_), Language::En) => format!("Another change is running: {chain}"),
        (ResetError::Lock(_), Language::Tr) => format!("Başka bir değişiklik sürüyor: {chain}"),
        (ResetError::NoCommand { program }, Language::En) => {
            format!("{} is missing: install Phantom-WG again", program.display())
        }
        (ResetError::NoCommand { program }, Language::Tr) => {
            format!("{} yok: Phantom-WG'yi yeniden kurun", program.display())
        }
        (_, Language::En | Language::Tr) => chain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_is_finished_by_the_given_command() {
        let english = "Removal interrupted; to finish it, run again: factory-reset --uninstall";
        let said = |root: Option<&str>, yes| removal_interrupted(root.map(Path::new), yes, Language::En);
        assert_eq!(said(None, false), english);
        assert_eq!(said(None, true), format!("{english} --yes"));
        assert_eq!(said(Some("/srv/vpn"), true), format!("{english} --yes --root /srv/vpn"));
        assert_eq!(said(Some("/srv/my vpn's"), false), format!(r"{english} --root '/srv/my vpn'\''s'"));
        assert!(removal_interrupted(None, true, Language::Tr).ends_with(": factory-reset --uninstall --yes"));
    }
}
