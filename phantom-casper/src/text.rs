//! The export for people: three steps, in English and Turkish (API chapter 9 and section 12.4).

use phantom_store::Language;
use zeroize::Zeroizing;

use crate::Export;

/// Columns of a rule.
const WIDTH: usize = 80;

/// The words of a language.
struct Words {
    title: &'static str,
    client: &'static str,
    server: &'static str,
    created: &'static str,
    first: &'static str,
    run: &'static str,
    second: &'static str,
    save: &'static str,
    third: &'static str,
    import: &'static str,
    disconnect: &'static str,
    note: &'static str,
}

const ENGLISH: Words = Words {
    title: "PHANTOM-WG - GHOST MODE CLIENT CONFIGURATION",
    client: "Client",
    server: "Server",
    created: "Created",
    first: "STEP 1: Start the wstunnel client",
    run: "Run this command in a separate terminal (keep it running):",
    second: "STEP 2: WireGuard Configuration",
    save: "Save the following configuration to a file (e.g. phantom-ghost.conf):",
    third: "STEP 3: Connect",
    import: "Import the configuration file in the WireGuard client",
    disconnect: "To disconnect:",
    note: "NOTE: Keep the wstunnel command running while connected!",
};

const TURKISH: Words = Words {
    title: "PHANTOM-WG - GHOST MODE İSTEMCİ YAPILANDIRMASI",
    client: "İstemci",
    server: "Sunucu",
    created: "Oluşturulma",
    first: "ADIM 1: wstunnel istemcisini başlat",
    run: "Bu komutu ayrı bir terminalde çalıştırın (çalışır durumda tutun):",
    second: "ADIM 2: WireGuard Yapılandırması",
    save: "Aşağıdaki yapılandırmayı bir dosyaya kaydedin (örn: phantom-ghost.conf):",
    third: "ADIM 3: Bağlan",
    import: "WireGuard istemcisinde yapılandırma dosyasını içe aktar",
    disconnect: "Bağlantıyı kesmek için:",
    note: "NOT: Bağlı iken wstunnel komutunu çalışır durumda tutun!",
};

impl Export {
    /// The text, with a final line feed: a secret.
    pub fn text(&self, language: Language) -> Zeroizing<String> {
        let words = match language {
            Language::En => &ENGLISH,
            Language::Tr => &TURKISH,
        };
        let [program, rest] = self.access.command_parts();
        let config = self.config.render();
        let (thick, thin) = ("=".repeat(WIDTH), "-".repeat(WIDTH));
        let created = self.created.date_and_time();
        let (name, domain) = (&self.name, &self.access.domain);
        let head = format!(
            "{thick}\n{}\n{thick}\n\n{}: {name}\n{}: {domain}\n{}: {created}\n",
            words.title, words.client, words.server, words.created
        );
        let first = Zeroizing::new(format!("{}\n\n    {} \\\n        {}\n", words.run, *program, *rest));
        let second = Zeroizing::new(format!("{}\n\n{}\n", words.save, *config));
        let third = format!(
            "Linux/macOS:\n    sudo wg-quick up /path/to/phantom-ghost.conf\n\nWindows:\n    {}\n\n\
             {}\n    sudo wg-quick down /path/to/phantom-ghost.conf\n",
            words.import, words.disconnect
        );
        let mut text = Zeroizing::new(String::with_capacity(head.len() + first.len() + second.len() + 2048));
        text.push_str(&head);
        for (title, body) in [(words.first, &*first), (words.second, &*second), (words.third, &third)] {
            for part in ["\n", &thin, "\n", title, "\n", &thin, "\n\n", body] {
                text.push_str(part);
            }
        }
        for part in ["\n", &thick, "\n", words.note, "\n", &thick, "\n"] {
            text.push_str(part);
        }
        text
    }
}
