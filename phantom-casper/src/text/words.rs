//! The words of the export, language by language.

/// The words of a language.
pub(super) struct Vocabulary {
    pub(super) title: &'static str,
    pub(super) client: &'static str,
    pub(super) server: &'static str,
    pub(super) created: &'static str,
    pub(super) first: &'static str,
    pub(super) pin: &'static str,
    pub(super) pin_unix: &'static str,
    pub(super) pin_windows: &'static str,
    pub(super) run: &'static str,
    pub(super) one_line: &'static str,
    pub(super) second: &'static str,
    pub(super) save: &'static str,
    pub(super) third: &'static str,
    pub(super) import: &'static str,
    pub(super) unblock: &'static str,
    pub(super) disconnect: &'static str,
    pub(super) unpin_windows: &'static str,
    pub(super) note: &'static str,
}

pub(super) const ENGLISH: Vocabulary = Vocabulary {
    title: "PHANTOM-WG - GHOST MODE CLIENT CONFIGURATION",
    client: "Client",
    server: "Server",
    created: "Created",
    first: "STEP 1: Start the wstunnel client",
    pin: "First write the server's address into the hosts file of this computer.\n\
          Without it the tunnel would not come back when its connection breaks: the\n\
          server's name would be looked up through the broken tunnel.",
    pin_unix: "On Linux and macOS:",
    pin_windows: "On Windows, in PowerShell as administrator:",
    run: "Run this command in a separate terminal (keep it running):",
    one_line: "On Windows, write the two lines as one, without the \\ between them.",
    second: "STEP 2: WireGuard Configuration",
    save: "Save the following configuration to a file (e.g. phantom-ghost.conf):",
    third: "STEP 3: Connect",
    import: "Import the configuration file in the WireGuard client",
    unblock: "Edit the tunnel and untick \"Block untunneled traffic (kill-switch)\":\n    \
              it would block the wstunnel command as well",
    disconnect: "To disconnect:",
    unpin_windows: "On Windows: deactivate the tunnel, then in PowerShell as administrator:",
    note: "NOTE: Keep the wstunnel command running while connected!",
};

pub(super) const TURKISH: Vocabulary = Vocabulary {
    title: "PHANTOM-WG - GHOST MODE İSTEMCİ YAPILANDIRMASI",
    client: "İstemci",
    server: "Sunucu",
    created: "Oluşturulma",
    first: "ADIM 1: wstunnel istemcisini başlat",
    pin: "Önce sunucunun adresini bu bilgisayarın hosts dosyasına yazın. Yazmazsanız\n\
          kopan bağlantı bir daha kurulamaz, çünkü sunucunun adı kopmuş tünelin\n\
          içinden sorulur.",
    pin_unix: "Linux ve macOS'te:",
    pin_windows: "Windows'ta, yönetici olarak açılmış PowerShell'de:",
    run: "Bu komutu ayrı bir terminalde çalıştırın (çalışır durumda tutun):",
    one_line: "Windows'ta iki satırı, aradaki \\ işareti olmadan, tek satır olarak yazın.",
    second: "ADIM 2: WireGuard Yapılandırması",
    save: "Aşağıdaki yapılandırmayı bir dosyaya kaydedin (örn: phantom-ghost.conf):",
    third: "ADIM 3: Bağlan",
    import: "WireGuard istemcisinde yapılandırma dosyasını içe aktar",
    unblock: "Tüneli düzenleyip \"Tünelden geçmeyen trafiği durdur (kill-switch)\"\n    \
              kutusunun işaretini kaldırın: o ayar wstunnel komutunu da engeller",
    disconnect: "Bağlantıyı kesmek için:",
    unpin_windows: "Windows'ta tüneli devre dışı bırakın, ardından yönetici olarak açılmış\nPowerShell'de:",
    note: "NOT: Bağlı iken wstunnel komutunu çalışır durumda tutun!",
};
